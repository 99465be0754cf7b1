import { hostname, homedir } from 'node:os';
import path from 'node:path';
import { fieldIssues } from '@coppice/bus';
import { tokenSchema } from '@coppice/contracts';
import { logLevels, redact } from '@coppice/telemetry';
import { z } from 'zod';
import { busVariables } from './bus-connection.ts';
import { ConfigurationError } from './errors.ts';

/** Text of a variable as an integer within the bounds, which are included. */
export const integerVariable = (bounds: { min: number; max: number }) =>
  z
    .string()
    .regex(/^-?\d{1,15}$/, `an integer from ${bounds.min} to ${bounds.max}`)
    .transform(Number)
    .refine((value) => value >= bounds.min && value <= bounds.max, `an integer from ${bounds.min} to ${bounds.max}`);

/** `1`, `true`, `yes` and `on` are true; `0`, `false`, `no` and `off` are not. */
export const flagVariable = z
  .string()
  .regex(/^(1|true|yes|on|0|false|no|off)$/i, 'one of 1, true, yes, on, 0, false, no, off')
  .transform((text) => /^(1|true|yes|on)$/i.test(text));

/** Folders or files, separated as in PATH. */
export const pathListVariable = z.string().transform((text) =>
  text
    .split(path.delimiter)
    .filter((part) => part !== '')
    .map((part) => path.resolve(part)),
);

/** The variables that every service reads. */
export const commonVariables = {
  ...busVariables,
  /** How to ask the server what its settings promise, e.g. http://127.0.0.1:8222. */
  NATS_MONITORING_URL: z.url('an address such as http://127.0.0.1:8222').optional(),
  /** Copies of every stream and bucket, in a cluster. */
  COPPICE_REPLICAS: integerVariable({ min: 1, max: 5 }).default(1),
  /** A process that is silent for this long counts as lost, and its work goes to another; the same for all of a stack. */
  COPPICE_LOST_AFTER_MS: integerVariable({ min: 1_000, max: 600_000 }).default(15_000),
  /** The host: services of one host that share files have the same name. */
  COPPICE_NODE: tokenSchema.default(nodeNameOfHost),
  /** Where the service keeps files of its own. */
  COPPICE_DATA: z
    .string()
    .transform((folder) => path.resolve(folder))
    .default(defaultDataFolder),
  COPPICE_LOG_LEVEL: z.enum(logLevels, `one of ${logLevels.join(', ')}`).default('info'),
  COPPICE_HEALTH_PORT: integerVariable({ min: 0, max: 65_535 }).optional(),
  COPPICE_HEALTH_HOST: z.string().default('127.0.0.1'),
  /** How long a start waits for a NATS server to answer. */
  COPPICE_START_WAIT_MS: integerVariable({ min: 0, max: 600_000 }).default(60_000),
};
export type CommonConfiguration = z.output<z.ZodObject<typeof commonVariables>>;

/**
 * What a schema reads out of the environment: its keys are the variables' names. An empty variable counts as unset.
 * @throws ConfigurationError which names every wrong variable, what was expected, and what came (of a secret only that something came).
 */
export function readConfiguration<Schema extends z.ZodObject>(
  schema: Schema,
  environment: NodeJS.ProcessEnv = process.env,
): z.output<Schema> {
  const set = Object.fromEntries(
    Object.entries(environment).filter(([, value]) => value !== undefined && value !== ''),
  );
  const result = schema.safeParse(set);
  if (result.success) return result.data;
  throw new ConfigurationError(
    fieldIssues(result.error.issues, set).map((issue) => ({
      ...issue,
      received: receivedText(issue.field, issue.received),
    })),
  );
}

const secretName = /PASSWORD|SECRET|TOKEN|KEY/;

function receivedText(variable: string, received: string): string {
  return secretName.test(variable) && received !== 'nothing' ? '[redacted]' : redact(received);
}

/** The host's name as one token of a subject. */
export function nodeNameOfHost(name = hostname()): string {
  const token = name
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replace(/^-+/, '')
    .slice(0, 63);
  return token === '' ? 'localhost' : token;
}

function defaultDataFolder(): string {
  const state = process.env['XDG_STATE_HOME'];
  return path.join(
    state !== undefined && path.isAbsolute(state) ? state : path.join(homedir(), '.local/state'),
    'coppice',
  );
}

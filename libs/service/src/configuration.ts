import { hostname, homedir } from 'node:os';
import path from 'node:path';
import { fieldIssues } from '@coppice/bus';
import { tokenSchema } from '@coppice/contracts';
import { logLevels, redact } from '@coppice/telemetry';
import { z } from 'zod';
import { busVariables } from './bus-connection.ts';
import { ConfigurationError } from './errors.ts';

/** The bounds are inclusive. */
export const integerVariable = (bounds: { min: number; max: number }) =>
  z
    .string()
    .regex(/^-?\d{1,15}$/, `an integer from ${bounds.min} to ${bounds.max}`)
    .transform(Number)
    .refine((value) => value >= bounds.min && value <= bounds.max, `an integer from ${bounds.min} to ${bounds.max}`);

/** Schema of a boolean variable. Accepts `1`, `true`, `yes`, `on`, and `0`, `false`, `no`, `off`, in any case. */
export const flagVariable = z
  .string()
  .regex(/^(1|true|yes|on|0|false|no|off)$/i, 'one of 1, true, yes, on, 0, false, no, off')
  .transform((text) => /^(1|true|yes|on)$/i.test(text));

/** Schema of a list of paths, with the separator of PATH. */
export const pathListVariable = z.string().transform((text) =>
  text
    .split(path.delimiter)
    .filter((part) => part !== '')
    .map((part) => path.resolve(part)),
);

export const commonVariables = {
  ...busVariables,
  /**
   * Monitoring address of the NATS server, such as http://127.0.0.1:8222. Used to read the server's durability
   * settings.
   */
  NATS_MONITORING_URL: z.url('an address such as http://127.0.0.1:8222').optional(),
  /** Number of copies of each stream and bucket. More than 1 needs a cluster. */
  COPPICE_REPLICAS: integerVariable({ min: 1, max: 5 }).default(1),
  /**
   * Milliseconds without a heartbeat after which a process counts as lost. Other processes then take over its work. All
   * processes of a stack need the same value.
   */
  COPPICE_LOST_AFTER_MS: integerVariable({ min: 1_000, max: 600_000 }).default(15_000),
  /** Name of the node. Services that share files must use the same name. */
  COPPICE_NODE: tokenSchema.default(nodeNameOfHost),
  COPPICE_DATA: z
    .string()
    .transform((folder) => path.resolve(folder))
    .default(defaultDataFolder),
  COPPICE_LOG_LEVEL: z.enum(logLevels, `one of ${logLevels.join(', ')}`).default('info'),
  COPPICE_HEALTH_PORT: integerVariable({ min: 0, max: 65_535 }).optional(),
  COPPICE_HEALTH_HOST: z.string().default('127.0.0.1'),
  /** Time limit in milliseconds for each phase of the start that waits for the NATS server. */
  COPPICE_START_WAIT_MS: integerVariable({ min: 0, max: 600_000 }).default(60_000),
};
export type CommonConfiguration = z.output<z.ZodObject<typeof commonVariables>>;

/**
 * Reads the environment variables that a schema's keys name. An empty variable counts as unset.
 * @throws ConfigurationError with the expected and the received value of each invalid variable; received secrets are
 * redacted
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

/** Converts the host's name to a text that is valid as a token of a NATS subject. */
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

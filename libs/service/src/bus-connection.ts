import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { BusOptions } from '@coppice/bus';
import { tenantSchema } from '@coppice/contracts';
import { z } from 'zod';
import { ConfigurationError } from './errors.ts';

/** The variables that say how to reach the bus, and as whom. */
export const busVariables = {
  /** One or more addresses, separated by commas. */
  NATS_URL: z.string().default('nats://127.0.0.1:4222'),
  NATS_USER: z.string().optional(),
  NATS_PASSWORD: z.string().optional(),
  /** A JSON file as `coppice bus-users` writes it, or `{"user": …, "password": …}`, used instead of the two above: secrets in the environment are seen by child processes. */
  NATS_CREDENTIALS_FILE: z.string().optional(),
  /** PEM files. With one of them the connection must be encrypted. */
  NATS_CA_FILE: z.string().optional(),
  NATS_CERT_FILE: z.string().optional(),
  NATS_KEY_FILE: z.string().optional(),
};
export type BusConfiguration = z.output<z.ZodObject<typeof busVariables>>;

/** What a client needs to connect as somebody; see BusOptions. */
export type BusConnection = Omit<BusOptions, 'name'> & {
  /** Whose user that is, where its file tells. */
  tenant?: string;
};

const passwordSchema = z.object({ user: z.string().min(1), password: z.string().min(1) });
export const nkeyCredentialsSchema = z.object({
  nkeySeed: z.string().regex(/^SU[A-Z2-7]{56}$/),
  inboxPrefix: z.string().min(1).optional(),
  /** The one for which it may act, of a tenant's user. */
  tenant: tenantSchema.optional(),
});
export type NkeyCredentials = z.infer<typeof nkeyCredentialsSchema>;

/** @throws ConfigurationError for a file that can't be used. */
export function connectionFrom(configuration: BusConfiguration): BusConnection {
  const { NATS_URL: servers, NATS_USER: user, NATS_PASSWORD: password, NATS_CREDENTIALS_FILE: file } = configuration;
  return {
    servers,
    ...tlsFrom(configuration),
    ...(file === undefined ? defined({ user, password }) : readCredentials(file)),
  };
}

function tlsFrom(configuration: BusConfiguration): Pick<BusConnection, 'tls'> {
  const files: Record<string, string> = {};
  for (const [variable, name] of tlsFiles) {
    const file = configuration[variable];
    if (file === undefined) continue;
    // The client's own words about a file that it can't read don't name the variable.
    readText(variable, file, 'a readable PEM file');
    files[name] = path.resolve(file);
  }
  return Object.keys(files).length === 0 ? {} : { tls: files };
}

const tlsFiles = [
  ['NATS_CA_FILE', 'caFile'],
  ['NATS_CERT_FILE', 'certFile'],
  ['NATS_KEY_FILE', 'keyFile'],
] as const;

const credentialsVariable = 'NATS_CREDENTIALS_FILE';

function readCredentials(file: string): Partial<BusConnection> {
  const expected = 'a readable JSON file with user and password, or nkeySeed';
  const text = readText(credentialsVariable, file, expected);
  let received: string;
  try {
    const content: unknown = JSON.parse(text);
    const hasKey = typeof content === 'object' && content !== null && 'nkeySeed' in content;
    const parsed = (hasKey ? nkeyCredentialsSchema : passwordSchema).safeParse(content);
    if (parsed.success) return defined(parsed.data);
    received = `${file}, where ${parsed.error.issues.map((issue) => issue.path.join('.')).join(' and ')} is missing or wrong`;
  } catch {
    // A parser's message quotes the text, which is a secret.
    received = `${file}, which is not JSON`;
  }
  throw new ConfigurationError([{ field: credentialsVariable, expected, received }]);
}

function readText(field: string, file: string, expected: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    const received = `${file}, which can not be read (${(error as Error).message})`;
    throw new ConfigurationError([{ field, expected, received }]);
  }
}

/** Without what is undefined. */
const defined = <Value extends object>(value: Value): { [Key in keyof Value]?: Exclude<Value[Key], undefined> } =>
  Object.fromEntries(Object.entries(value).filter(([, each]) => each !== undefined)) as never;

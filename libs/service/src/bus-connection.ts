import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { BusOptions } from '@coppice/bus';
import { tenantSchema } from '@coppice/contracts';
import { z } from 'zod';
import { ConfigurationError } from './errors.ts';

export const busVariables = {
  /** One or more addresses, separated by commas. */
  NATS_URL: z.string().default('nats://127.0.0.1:4222'),
  NATS_USER: z.string().optional(),
  NATS_PASSWORD: z.string().optional(),
  /**
   * Path of a JSON file that `coppice bus-users` wrote, or that contains `{"user": …, "password": …}`. Overrides
   * NATS_USER and NATS_PASSWORD. A file is safer, since child processes inherit variables.
   */
  NATS_CREDENTIALS_FILE: z.string().optional(),
  /** Paths of PEM files. If any of these three variables is set, the connection must be encrypted. */
  NATS_CA_FILE: z.string().optional(),
  NATS_CERT_FILE: z.string().optional(),
  NATS_KEY_FILE: z.string().optional(),
};
export type BusConfiguration = z.output<z.ZodObject<typeof busVariables>>;

export type BusConnection = Omit<BusOptions, 'name'> & {
  /** Tenant in the credentials file, if there is one. */
  tenant?: string;
};

const passwordSchema = z.object({ user: z.string().min(1), password: z.string().min(1) });
export const nkeyCredentialsSchema = z.object({
  nkeySeed: z.string().regex(/^SU[A-Z2-7]{56}$/),
  inboxPrefix: z.string().min(1).optional(),
  /** Set only for a tenant's user. */
  tenant: tenantSchema.optional(),
});
export type NkeyCredentials = z.infer<typeof nkeyCredentialsSchema>;

/** @throws ConfigurationError for an unusable file */
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
    // The NATS client reads the file itself, but its error for an unreadable file doesn't name the variable.
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
    // The parser's message is left out, since it quotes the file's secret text.
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

const defined = <Value extends object>(value: Value): { [Key in keyof Value]?: Exclude<Value[Key], undefined> } =>
  Object.fromEntries(Object.entries(value).filter(([, each]) => each !== undefined)) as never;

import { randomBytes } from 'node:crypto';
import type { Home } from './home.ts';
import { readJsonFile, writePrivateFile } from './private-file.ts';

/**
 * Address and credentials of an embedded stack's NATS server. A restart keeps the credentials and, if possible, the
 * address, so that clients can reconnect.
 */
export type Connection = { servers: string; user: string; password: string };

const passwordBytes = 24;

/** Returns null before the stack's first start. */
export const readConnection = (home: Home): Connection | null => readJsonFile(home.connectionFile) as Connection | null;

export const writeConnection = (home: Home, connection: Connection): void =>
  writePrivateFile(home.connectionFile, `${JSON.stringify(connection)}\n`);

export const newCredentials = (): { user: string; password: string } => ({
  user: 'coppice',
  password: randomBytes(passwordBytes).toString('base64url'),
});

import { randomBytes } from 'node:crypto';
import type { Home } from './home.ts';
import { readJsonFile, writePrivateFile } from './private-file.ts';

/** How to reach an embedded stack's NATS server. The same over restarts, so that clients that reconnect find it. */
export type Connection = { servers: string; user: string; password: string };

const passwordBytes = 24;

/** Null before a first start. */
export const readConnection = (home: Home): Connection | null => readJsonFile(home.connectionFile) as Connection | null;

export const writeConnection = (home: Home, connection: Connection): void =>
  writePrivateFile(home.connectionFile, `${JSON.stringify(connection)}\n`);

export const newCredentials = (): { user: string; password: string } => ({
  user: 'coppice',
  password: randomBytes(passwordBytes).toString('base64url'),
});

import { once } from 'node:events';
import { access, chmod, lstat, rm } from 'node:fs/promises';
import type { Server } from 'node:http';
import { createConnection } from 'node:net';
import { dirname } from 'node:path';
import { ConfigurationError } from '@coppice/service';

/** Where the façade listens. */
export type Address = { host: string; port: number } | { socket: string };

/** Who may connect is told by the folder that the socket lies in, and by the token: a sandbox's user is another than ours. */
const socketMode = 0o666;

/** @throws ConfigurationError where it can't be had. */
export async function listen(server: Server, address: Address): Promise<void> {
  if ('socket' in address) {
    await requireFolder(address.socket);
    await removeStale(address.socket);
  }
  server.listen('socket' in address ? { path: address.socket } : address);
  try {
    await once(server, 'listening');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? String(error);
    throw 'socket' in address
      ? wrong('COPPICE_GATEWAY_SOCKET', 'a path where a socket can be made', `${address.socket} (${code})`)
      : wrong('COPPICE_GATEWAY_HTTP', 'an address that is free', `${address.host}:${address.port} (${code})`);
  }
  if ('socket' in address) await chmod(address.socket, socketMode);
}

/** Listening would tell of a missing one that it may not be used. */
async function requireFolder(socket: string): Promise<void> {
  const missing = await access(dirname(socket)).then(
    () => false,
    ({ code }: NodeJS.ErrnoException) => code === 'ENOENT',
  );
  if (missing) throw wrong('COPPICE_GATEWAY_SOCKET', 'a path in a folder that is there', socket);
}

/** What a gateway that was killed has left. Nothing else is removed. */
async function removeStale(socket: string): Promise<void> {
  // Where it can't be looked at, listening fails and says why.
  const found = await lstat(socket).catch(() => null);
  if (found === null) return;
  if (!found.isSocket()) throw wrong('COPPICE_GATEWAY_SOCKET', 'a path where nothing is, or a socket', socket);
  if (await isAnswered(socket)) throw wrong('COPPICE_GATEWAY_SOCKET', 'a socket that nobody listens on', socket);
  await rm(socket, { force: true });
}

function isAnswered(socket: string): Promise<boolean> {
  return new Promise((resolve) => {
    const connection = createConnection(socket);
    const tell = (answered: boolean) => {
      connection.destroy();
      resolve(answered);
    };
    connection.once('connect', () => tell(true));
    connection.once('error', () => tell(false));
  });
}

const wrong = (field: string, expected: string, received: string): ConfigurationError =>
  new ConfigurationError([{ field, expected, received }]);

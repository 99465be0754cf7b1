import { once } from 'node:events';
import { access, chmod, lstat, rm } from 'node:fs/promises';
import type { Server } from 'node:http';
import { createConnection } from 'node:net';
import { dirname } from 'node:path';
import { ConfigurationError } from '@coppice/service';

export type Address = { host: string; port: number } | { socket: string };

/**
 * Lets all users connect, since a sandbox runs as another user. The token and the permissions of the socket's folder
 * control access.
 */
const socketMode = 0o666;

/** @throws ConfigurationError if the address can't be used. */
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

/** If the folder doesn't exist, listening would fail with a misleading permission error. */
async function requireFolder(socket: string): Promise<void> {
  const missing = await access(dirname(socket)).then(
    () => false,
    ({ code }: NodeJS.ErrnoException) => code === 'ENOENT',
  );
  if (missing) throw wrong('COPPICE_GATEWAY_SOCKET', 'a path in a folder that is there', socket);
}

/** Removes the socket file of a gateway that was killed. Any other file, or a socket in use, causes an error. */
async function removeStale(socket: string): Promise<void> {
  // This error may be ignored. If lstat fails for any reason except a missing file, listening fails, too, and reports
  // the reason.
  const found = await lstat(socket).catch(() => null);
  if (found === null) return;
  if (!found.isSocket()) throw wrong('COPPICE_GATEWAY_SOCKET', 'a path where nothing is, or a socket', socket);
  if (await isAnswered(socket)) throw wrong('COPPICE_GATEWAY_SOCKET', 'a socket that nobody listens on', socket);
  await rm(socket, { force: true });
}

function isAnswered(socket: string): Promise<boolean> {
  return new Promise((resolve) => {
    const connection = createConnection(socket);
    const finish = (answered: boolean) => {
      connection.destroy();
      resolve(answered);
    };
    connection.once('connect', () => finish(true));
    connection.once('error', () => finish(false));
  });
}

const wrong = (field: string, expected: string, received: string): ConfigurationError =>
  new ConfigurationError([{ field, expected, received }]);

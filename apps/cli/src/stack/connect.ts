import { Bus } from '@coppice/bus';
import { CoppiceError } from '@coppice/contracts';
import { createLogger } from '@coppice/telemetry';
import { CliError } from '../errors.ts';
import { exitCodes } from '../exit-codes.ts';
import { readConnection } from './credentials.ts';
import type { Connection } from './credentials.ts';
import type { Home } from './home.ts';

const log = createLogger('cli');

/** A stack that somebody else runs, named by the environment; null: the embedded one is meant. */
export function remoteFrom(
  environment: NodeJS.ProcessEnv,
): { servers: string; user?: string; password?: string } | null {
  const { NATS_URL: servers = '', NATS_USER: user = '', NATS_PASSWORD: password = '' } = environment;
  if (servers === '') return null;
  return { servers, ...(user === '' ? {} : { user }), ...(password === '' ? {} : { password }) };
}

/** @throws CliError (stack unavailable) that says what to do. */
export async function connectTo(
  connection: { servers: string; user?: string; password?: string },
  what: string,
): Promise<Bus> {
  try {
    return await Bus.connect({ ...connection, name: 'coppice-cli' });
  } catch (error) {
    if (!(error instanceof CoppiceError)) throw error;
    throw new CliError(exitCodes.stackUnavailable, `${what}: ${error.message}`, { cause: error });
  }
}

/** What was to be told is known by now: a server that can't be left in order must not take its place. */
export async function disconnect(bus: Bus): Promise<void> {
  try {
    await bus.close();
  } catch (error) {
    log.debug({ err: error }, 'not disconnected in order');
  }
}

export function embeddedConnection(home: Home): Connection {
  const connection = readConnection(home);
  if (connection !== null) return connection;
  throw new CliError(exitCodes.stackUnavailable, `there is no stack in ${home.root}: start one with "coppice up"`);
}

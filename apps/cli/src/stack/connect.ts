import { Bus } from '@coppice/bus';
import { CoppiceError } from '@coppice/contracts';
import { ConfigurationError, busVariables, connectionFrom, readConfiguration, retry } from '@coppice/service';
import type { BusConnection } from '@coppice/service';
import { createLogger } from '@coppice/telemetry';
import { z } from 'zod';
import type { OnWaiting } from '../ask.ts';
import { CliError } from '../errors.ts';
import { exitCodes } from '../exit-codes.ts';
import { readConnection } from './credentials.ts';
import type { Connection } from './credentials.ts';
import type { Home } from './home.ts';

const log = createLogger('cli');

/**
 * Returns the connection to the remote stack at NATS_URL. Returns null if NATS_URL isn't set, which means the embedded
 * stack.
 * @throws CliError if a variable is invalid, or names an unusable file
 */
export function remoteFrom(environment: NodeJS.ProcessEnv): BusConnection | null {
  if ((environment['NATS_URL'] ?? '') === '') return null;
  try {
    return connectionFrom(readConfiguration(z.object(busVariables), environment));
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    throw new CliError(exitCodes.badInput, error.message, { cause: error });
  }
}

/** @param tenant value of `--tenant` */
export const tenantFor = (tenant: string | undefined, connection: BusConnection): string =>
  tenant ?? connection.tenant ?? 'default';

/** Enough for the restart of a server, and short enough to report a missing server soon. */
const remoteWaitMsMax = 10_000;
const pauseMs = 500;

export type ConnectOptions = {
  /** Milliseconds for which a connection to an unreachable server is retried. Default: `remoteWaitMsMax`. */
  waitMsMax?: number | undefined;
  onWaiting?: OnWaiting | undefined;
  /** Returns why the stack has ended, otherwise null. A reason stops the retries. */
  endReason?: () => string | null;
};

/** Retries if the server is unreachable. @throws CliError (stack unavailable) */
export async function connectTo(connection: BusConnection, what: string, options: ConnectOptions = {}): Promise<Bus> {
  const { waitMsMax = remoteWaitMsMax, onWaiting, endReason = () => null } = options;
  const started = performance.now();
  let isReported = false;
  const mayPass = (error: Error) => {
    if (!(error instanceof CoppiceError) || error.code !== 'unavailable' || endReason() !== null) return false;
    onWaiting?.({ what: 'NATS server', ms: performance.now() - started });
    isReported = true;
    return true;
  };
  try {
    const connect = () => Bus.connect({ ...connection, name: 'coppice-cli' });
    const bus = await retry(connect, { mayPass, forMs: waitMsMax, pauseMs });
    if (isReported) onWaiting?.(null);
    return bus;
  } catch (error) {
    if (!(error instanceof CoppiceError)) throw error;
    throw notConnected(error, connection, endReason() ?? what);
  }
}

function notConnected(error: CoppiceError, connection: BusConnection, what: string): CliError {
  const isAnonymous = connection.nkeySeed === undefined && connection.user === undefined;
  const advice =
    error.code === 'permission-denied' && isAnonymous
      ? '; NATS_CREDENTIALS_FILE (or NATS_USER and NATS_PASSWORD) is not set: name your file there'
      : '';
  return new CliError(exitCodes.stackUnavailable, `${what}: ${error.message}${advice}`, { cause: error });
}

/** Disconnects. Only logs errors, since the command's result is known and must not be replaced by an error. */
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

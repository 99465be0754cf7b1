import { CoppiceError } from '@coppice/contracts';
import type { BusOptions } from './bus.ts';
import { busLimits } from './limits.ts';
import { connect, nkeyAuthenticator } from './nats.ts';
import type { NatsConnection } from './nats.ts';
import { reportRefusals } from './refusals.ts';
import { requireNames, requireNamesOf, withAdvice } from './server-names.ts';

/**
 * @throws CoppiceError `unavailable` when no server answers
 * @throws CoppiceError `permission-denied` when the server refuses the user
 */
export async function openConnection(options: BusOptions): Promise<NatsConnection> {
  const { servers, name, user, password, nkeySeed, inboxPrefix, tls, lostAfterMs = busLimits.lostAfterMs } = options;
  if (tls !== undefined) requireNames(servers);
  try {
    const connection = await connect({
      servers: servers.split(',').map((server) => server.trim()),
      name,
      ...(user === undefined ? {} : { user }),
      ...(password === undefined ? {} : { pass: password }),
      ...(nkeySeed === undefined ? {} : { authenticator: nkeyAuthenticator(new TextEncoder().encode(nkeySeed)) }),
      ...(inboxPrefix === undefined ? {} : { inboxPrefix }),
      ...(tls === undefined ? {} : { tls }),
      maxReconnectAttempts: -1,
      reconnectTimeWait: 500,
      // With this interval, the client replaces a dead connection before other processes judge this process lost.
      pingInterval: lostAfterMs / 3,
      maxPingOut: 2,
      timeout: Math.max(busLimits.connectTimeoutMsMin, lostAfterMs / 2),
      // Without this option the client makes two stack traces per request, which take 41 % of its time.
      noAsyncTraces: true,
    });
    if (connection.info?.tls_required === true) await requireNamesOf(connection, servers);
    reportRefusals(connection);
    return connection;
  } catch (cause) {
    if (cause instanceof CoppiceError) throw cause;
    const message = cause instanceof Error ? cause.message : String(cause);
    const refused = /authorization|authentication|permission/i.test(message);
    const text = `the NATS server at ${servers} ${refused ? 'refuses this user' : 'can not be reached'}: ${withAdvice(message)}`;
    throw new CoppiceError(refused ? 'permission-denied' : 'unavailable', text, { cause });
  }
}

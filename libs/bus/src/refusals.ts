import { CoppiceError } from '@coppice/contracts';
import { createLogger } from '@coppice/telemetry';
import { errors } from './nats.ts';
import type { NatsConnection } from './nats.ts';

/**
 * Turns permission violations into errors of the refused requests. The server reports a refused publish or subscription
 * separately, not as an answer.
 *
 * Invariants:
 * 1. A request that the server refuses fails at once with CoppiceError `permission-denied`, which names the subject.
 *    Publishes to a stream and all JetStream operations are such requests.
 * 2. If no caller waits, as for a plain publish or a subscription, the refusal is logged.
 */
export function reportRefusals(connection: NatsConnection): void {
  const waiting = new Map<string, number>();
  const request = connection.request.bind(connection);
  connection.request = async (subject, payload, options) => {
    waiting.set(subject, (waiting.get(subject) ?? 0) + 1);
    try {
      return await request(subject, payload, options);
    } catch (error) {
      throw refusalOf(error) ?? error;
    } finally {
      // The client reports the refusal again a little later, in the connection's status.
      setImmediate(() => {
        const left = (waiting.get(subject) ?? 1) - 1;
        if (left === 0) waiting.delete(subject);
        else waiting.set(subject, left);
      });
    }
  };
  void logTheRest(connection, (subject) => waiting.has(subject));
}

/** Returns null if the error isn't a permission violation. */
function refusalOf(error: unknown): CoppiceError | null {
  const cause = error instanceof errors.RequestError ? error.cause : error;
  if (!(cause instanceof errors.PermissionViolationError)) return null;
  const what = cause.operation === 'publish' ? 'publish on' : 'subscribe to';
  return new CoppiceError('permission-denied', `this user of the bus may not ${what} ${cause.subject}`, { cause });
}

const log = createLogger('bus');

/** Logs refusals for which no caller waits, until the connection ends. */
async function logTheRest(connection: NatsConnection, isWaitedFor: (subject: string) => boolean): Promise<void> {
  for await (const status of connection.status()) {
    if (status.type !== 'error') continue;
    const refusal = refusalOf(status.error);
    if (refusal !== null && !isWaitedFor((status.error as { subject?: string }).subject ?? '')) {
      log.error({ err: refusal }, 'the NATS server refuses what this process does');
    }
  }
}

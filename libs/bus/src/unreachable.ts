import { CoppiceError } from '@coppice/contracts';
import { errors } from './nats.ts';

/** If the error says that the server doesn't answer or that the connection is lost, returns CoppiceError `unavailable`. Returns any other error unchanged. */
export function unreachable(cause: unknown, what: string): unknown {
  const gone =
    cause instanceof errors.TimeoutError ||
    cause instanceof errors.RequestError ||
    cause instanceof errors.NoRespondersError ||
    cause instanceof errors.ClosedConnectionError ||
    cause instanceof errors.DrainingConnectionError;
  return gone ? new CoppiceError('unavailable', `${what}: ${cause.message}`, { cause }) : cause;
}

/** Awaits an answer. @throws what `unreachable` returns */
export async function reaching<Answer>(answer: Promise<Answer>, what: string): Promise<Answer> {
  try {
    return await answer;
  } catch (cause) {
    throw unreachable(cause, what);
  }
}

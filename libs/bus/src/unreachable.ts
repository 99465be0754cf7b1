import { CoppiceError } from '@coppice/contracts';
import { errors } from './nats.ts';

/** Converts the client's errors for a server that doesn't answer, or is no longer connected, into `unavailable`; returns any other error as it is. */
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

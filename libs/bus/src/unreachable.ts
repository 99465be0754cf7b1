import { CoppiceError } from '@coppice/contracts';
import { errors } from './nats.ts';

/**
 * Returns CoppiceError `unavailable` if the server didn't answer or the connection was lost. Returns any other error
 * unchanged.
 */
export function unreachable(cause: unknown, what: string): unknown {
  const gone =
    cause instanceof errors.TimeoutError ||
    cause instanceof errors.RequestError ||
    cause instanceof errors.NoRespondersError ||
    cause instanceof errors.ClosedConnectionError ||
    cause instanceof errors.DrainingConnectionError;
  return gone ? new CoppiceError('unavailable', `${what}: ${cause.message}`, { cause }) : cause;
}

/** @throws the error that `unreachable` returns */
export async function reaching<Answer>(answer: Promise<Answer>, what: string): Promise<Answer> {
  try {
    return await answer;
  } catch (cause) {
    throw unreachable(cause, what);
  }
}

import { CoppiceError } from '@coppice/contracts';
import { errors } from './nats.ts';

/** The client's errors of a server that doesn't answer, or isn't connected any more, as `unavailable`; any other error as it is. */
export function unreachable(cause: unknown, what: string): unknown {
  const gone =
    cause instanceof errors.TimeoutError ||
    cause instanceof errors.RequestError ||
    cause instanceof errors.NoRespondersError ||
    cause instanceof errors.ClosedConnectionError ||
    cause instanceof errors.DrainingConnectionError;
  return gone ? new CoppiceError('unavailable', `${what}: ${cause.message}`, { cause }) : cause;
}

/** @throws as `unreachable` says. */
export async function reaching<Answer>(answer: Promise<Answer>, what: string): Promise<Answer> {
  try {
    return await answer;
  } catch (cause) {
    throw unreachable(cause, what);
  }
}

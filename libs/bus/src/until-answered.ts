import { setTimeout as sleep } from 'node:timers/promises';
import { CoppiceError } from '@coppice/contracts';
import { createLogger } from '@coppice/telemetry';
import { ClaimLost, RevisionConflict, UnsuitableServer } from './errors.ts';
import { busLimits } from './limits.ts';

const log = createLogger('bus');

/**
 * Repeats a request to the server until it is answered, for what must not be lost while the server is away: the work has to be harmless when it is repeated after
 * no answer came. @throws what isn't a matter of the server's being away; the last failure after `busLimits.answerWaitMsMax`; the signal's reason.
 */
export async function untilAnswered<Answer>(work: () => Promise<Answer>, signal?: AbortSignal): Promise<Answer> {
  const endsAtMs = performance.now() + busLimits.answerWaitMsMax;
  for (let tries = 1; ; tries++) {
    try {
      return await work();
    } catch (error) {
      signal?.throwIfAborted();
      if (isFinal(error) || performance.now() > endsAtMs) throw error;
      if (tries === 1) log.warn({ err: error }, 'the NATS server did not answer; trying again');
    }
    await sleep(busLimits.answerPauseMs, undefined, { signal }).catch(() => signal?.throwIfAborted());
  }
}

const isFinal = (error: unknown): boolean =>
  error instanceof RevisionConflict ||
  error instanceof ClaimLost ||
  error instanceof UnsuitableServer ||
  (error instanceof CoppiceError && !error.retryable);

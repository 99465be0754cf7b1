import { setTimeout as sleep } from 'node:timers/promises';
import { CoppiceError } from '@coppice/contracts';
import { createLogger } from '@coppice/telemetry';
import { ClaimLost, RevisionConflict, UnsuitableServer } from './errors.ts';
import { busLimits } from './limits.ts';
import { JetStreamApiError, errors } from './nats.ts';
import { unreachable } from './unreachable.ts';

const log = createLogger('bus');

/**
 * Repeats a request to the server until it is answered, for what must not be lost while the server is away: the work has to be harmless when it is repeated after
 * no answer came. @param waiting how long, and for what, as the log says it
 * @throws what isn't a matter of the server's being away; CoppiceError `unavailable` when the time is over; the signal's reason.
 */
export async function untilAnswered<Answer>(
  work: () => Promise<Answer>,
  signal?: AbortSignal,
  waiting: { forMs?: number; for?: string } = {},
): Promise<Answer> {
  const { forMs = busLimits.answerWaitMsMax, for: what = 'an answer of the NATS server' } = waiting;
  const endsAtMs = performance.now() + forMs;
  let toldAtMs = Number.NEGATIVE_INFINITY;
  for (;;) {
    try {
      return await work();
    } catch (error) {
      signal?.throwIfAborted();
      if (isFinal(error)) throw error;
      const nowMs = performance.now();
      if (nowMs > endsAtMs) throw unreachable(error, `waited ${Math.round(forMs / 1_000)} s for ${what}`);
      if (nowMs - toldAtMs > busLimits.waitingToldEveryMs) {
        toldAtMs = nowMs;
        log.warn({ err: error }, `waiting for ${what}`);
      }
    }
    await sleep(busLimits.answerPauseMs, undefined, { signal }).catch(() => signal?.throwIfAborted());
  }
}

const isRefusal = (error: unknown): boolean => error instanceof errors.PermissionViolationError;

const isFinal = (error: unknown): boolean =>
  error instanceof RevisionConflict ||
  error instanceof ClaimLost ||
  error instanceof UnsuitableServer ||
  // It has answered, and will answer the same again.
  (error instanceof JetStreamApiError && error.status < 500) ||
  isRefusal(error) ||
  (error instanceof Error && isRefusal(error.cause)) ||
  error instanceof errors.ClosedConnectionError ||
  (error instanceof CoppiceError && !error.retryable);

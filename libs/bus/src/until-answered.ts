import { setTimeout as sleep } from 'node:timers/promises';
import { CoppiceError } from '@coppice/contracts';
import { createLogger } from '@coppice/telemetry';
import { ClaimLost, RevisionConflict, UnsuitableServer } from './errors.ts';
import { busLimits } from './limits.ts';
import { JetStreamApiError, errors } from './nats.ts';
import { unreachable } from './unreachable.ts';

const log = createLogger('bus');

/**
 * Retries a request until the server answers. Used for requests that must not be lost while the server is unreachable.
 * `work` must be safe to repeat, since an earlier try may have succeeded although its answer was lost.
 * @param waiting the time limit, and what is awaited, for the log
 * @throws any error that waiting wouldn't change, at once
 * @throws the last error when the time limit has passed, as `unreachable` returns it
 * @throws the signal's reason
 */
export async function untilAnswered<Answer>(
  work: () => Promise<Answer>,
  signal?: AbortSignal,
  waiting: { forMs?: number; for?: string } = {},
): Promise<Answer> {
  const { forMs = busLimits.answerWaitMsMax, for: what = 'an answer of the NATS server' } = waiting;
  const endsAtMs = performance.now() + forMs;
  let loggedAtMs = Number.NEGATIVE_INFINITY;
  for (;;) {
    try {
      return await work();
    } catch (error) {
      signal?.throwIfAborted();
      if (isFinal(error)) throw error;
      const nowMs = performance.now();
      if (nowMs > endsAtMs) throw unreachable(error, `waited ${Math.round(forMs / 1_000)} s for ${what}`);
      if (nowMs - loggedAtMs > busLimits.waitingLoggedEveryMs) {
        loggedAtMs = nowMs;
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
  // The server would give the same answer again.
  (error instanceof JetStreamApiError && error.status < 500) ||
  isRefusal(error) ||
  (error instanceof Error && isRefusal(error.cause)) ||
  error instanceof errors.ClosedConnectionError ||
  (error instanceof CoppiceError && !error.retryable);

import type { CoppiceError } from '@coppice/contracts';

export type RetrySettings = {
  attemptsMax: number;
  pauseMsMin: number;
  pauseMsMax: number;
  retryAfterMsMax: number;
  /** Returns a random number of at least 0 and less than 1. */
  random: () => number;
};

/** Reports whether the provider sent an unusable answer, for which it charges. */
export const hasAnswered = ({ details }: CoppiceError): boolean => details?.['answered'] === true;
const attemptsOfAnsweredMax = 2;

/**
 * Returns the milliseconds to wait before another attempt, or null if none may follow. A wait that the provider states
 * is the minimum. Jitter separates the retries of calls that failed together.
 */
export function pauseBeforeRetry(error: CoppiceError, attempt: number, settings: RetrySettings): number | null {
  const attemptsMax = hasAnswered(error) ? Math.min(attemptsOfAnsweredMax, settings.attemptsMax) : settings.attemptsMax;
  if (!error.retryable || attempt >= attemptsMax) return null;
  const backOffMs = Math.min(settings.pauseMsMin * 2 ** (attempt - 1), settings.pauseMsMax);
  const stated = error.details?.['retryAfterMs'];
  const retryAfterMs = typeof stated === 'number' && stated >= 0 ? stated : null;
  if (retryAfterMs === null) return Math.round(backOffMs * (0.5 + settings.random() / 2));
  if (retryAfterMs > settings.retryAfterMsMax) return null;
  return Math.round(retryAfterMs + (backOffMs * settings.random()) / 2);
}

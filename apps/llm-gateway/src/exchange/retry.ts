import type { CoppiceError } from '@coppice/contracts';

export type RetrySettings = {
  attemptsMax: number;
  pauseMsMin: number;
  pauseMsMax: number;
  retryAfterMsMax: number;
  /** 0 to below 1. */
  random: () => number;
};

/**
 * Milliseconds to wait before another attempt; null for none. What the provider asks for is a minimum; jitter keeps many turns that
 * failed together from coming back together.
 */
export function pauseBeforeRetry(error: CoppiceError, attempt: number, settings: RetrySettings): number | null {
  if (!error.retryable || attempt >= settings.attemptsMax) return null;
  const backOffMs = Math.min(settings.pauseMsMin * 2 ** (attempt - 1), settings.pauseMsMax);
  const asked = error.details?.['retryAfterMs'];
  const retryAfterMs = typeof asked === 'number' && asked >= 0 ? asked : null;
  if (retryAfterMs === null) return Math.round(backOffMs * (0.5 + settings.random() / 2));
  if (retryAfterMs > settings.retryAfterMsMax) return null;
  return Math.round(retryAfterMs + (backOffMs * settings.random()) / 2);
}

import { setTimeout as sleep } from 'node:timers/promises';
import type { CoppiceError } from '@coppice/contracts';
import type { Attempt } from './collect.ts';
import type { UsageSoFar } from './provider/port.ts';

export type RetrySettings = {
  attemptsMax: number;
  pauseMsMin: number;
  pauseMsMax: number;
  retryAfterMsMax: number;
  /** 0 to below 1. */
  random: () => number;
};

export type Asked = {
  outcome: Attempt;
  attempts: number;
  /** Of all attempts together: a failed one is paid for too. */
  usage: UsageSoFar;
};

/**
 * Asks until there is a complete answer, or an error that another try won't cure, or the attempts or the time are used up. After semantic
 * output it never asks again: half an answer was paid for, and the actor is to decide.
 */
export async function askPatiently(
  ask: (attempt: number, before: CoppiceError | null) => Promise<Attempt>,
  settings: RetrySettings,
  limits: { endsAtMs: number; signal: AbortSignal },
): Promise<Asked> {
  let usage: UsageSoFar = {};
  let before: CoppiceError | null = null;
  for (let attempt = 1; ; attempt++) {
    const outcome = await ask(attempt, before);
    usage = sum(usage, outcome.usage);
    const asked = { outcome, attempts: attempt, usage };
    if (outcome.status === 'complete' || outcome.outputBegan || limits.signal.aborted) return asked;
    const pauseMs = pauseBeforeRetry(outcome.error, attempt, settings);
    if (pauseMs === null || Date.now() + pauseMs >= limits.endsAtMs) return asked;
    // An abort ends the pause; the error that there is then says less than the abort's reason, which the caller looks at.
    await sleep(pauseMs, undefined, { signal: limits.signal }).catch(() => {});
    if (limits.signal.aborted) return asked;
    before = outcome.error;
  }
}

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

const usageCounts = [
  'inputTokens',
  'outputTokens',
  'cachedInputTokens',
  'cacheWriteInputTokens',
  'reasoningTokens',
  'costUsd',
] as const;

function sum(first: UsageSoFar, second: UsageSoFar): UsageSoFar {
  const total: UsageSoFar = { ...first };
  for (const name of usageCounts) {
    const added = second[name];
    if (added !== undefined) total[name] = (total[name] ?? 0) + added;
  }
  return total;
}

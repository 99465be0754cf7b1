/**
 * Reads the wait that a provider states in headers or in an error's body. Waits are in milliseconds, and null if
 * unknown.
 */
import { z } from 'zod';

export type ResponseHeaders = Readonly<Record<string, string | string[] | undefined>>;

/** `retry-after-ms` takes precedence over `retry-after`, and both over the reset times of rate limits. */
export const retryAfterMs = (headers: ResponseHeaders, nowMs: number): number | null =>
  statedRetryAfterMs(headers, nowMs) ?? resets(headers, nowMs);

/** Ignores reset times, since an answer to a permanent refusal may have them, too. */
export const statedRetryAfterMs = (headers: ResponseHeaders, nowMs: number): number | null =>
  milliseconds(one(headers, 'retry-after-ms')) ?? secondsOrDate(one(headers, 'retry-after'), nowMs);

const statedWaitPattern =
  /\b(?:try again|retry) in (?:((?:\d+(?:\.\d+)?(?:ms|[dhms]))+)|(\d+(?:\.\d+)?) ?seconds?)(?![a-z0-9])/i;
const retryInfoSchema = z.looseObject({ '@type': z.string().endsWith('RetryInfo'), retryDelay: z.string() });
const detailedSchema = z.object({ error: z.object({ details: z.array(z.unknown()) }) });

/** Google states the wait in `RetryInfo`. OpenAI states it in a text inside a stream. */
export function statedWaitMs(body: unknown, message: string): number | null {
  const detailed = detailedSchema.safeParse(Array.isArray(body) ? body[0] : body);
  const delays = (detailed.data?.error.details ?? []).flatMap((detail) => {
    const delay = durationOf(retryInfoSchema.safeParse(detail).data?.retryDelay ?? '');
    return delay === null ? [] : [delay];
  });
  const [, duration, seconds] = statedWaitPattern.exec(message) ?? [];
  const stated = delays[0] ?? durationOf(duration ?? seconds ?? '');
  return stated === null ? null : Math.ceil(stated);
}

/** Longer than any real duration. Without a limit, the pattern below would take quadratic time for long texts. */
const durationCharactersMax = 64;

/**
 * Converts durations such as `12ms`, `6m0s`, `1h2m3.5s` and `1d` to milliseconds. A number without a unit is in
 * seconds.
 */
export function durationOf(text: string): number | null {
  if (text.length > durationCharactersMax) return null;
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text) * 1_000;
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ms|us|µs|ns|d|h|m|s)/g)];
  if (parts.length === 0 || parts.map(([part]) => part).join('') !== text) return null;
  return parts.reduce((sum, [, amount, unit]) => sum + Number(amount) * (unitMs[unit ?? ''] ?? 0), 0);
}

const unitMs: Readonly<Record<string, number>> = {
  d: 86_400_000,
  h: 3_600_000,
  m: 60_000,
  s: 1_000,
  ms: 1,
  us: 0.001,
  µs: 0.001,
  ns: 0.000_001,
};

/**
 * Returns the milliseconds until the provider accepts requests again, which is the longest reset time of the exhausted
 * limits.
 */
export function usedUpMs(headers: ResponseHeaders, nowMs: number): number | null {
  // Shortcut, since usually no limit is exhausted.
  if (!remainings.some((remaining) => one(headers, remaining) === '0')) return null;
  const usedUp = [...durations(headers), ...dates(headers, nowMs)].filter((limit) => limit.usedUp && limit.ms > 0);
  return usedUp.length === 0 ? null : Math.max(...usedUp.map(({ ms }) => ms));
}

/**
 * Returns the longest reset time of the exhausted limits. If none is exhausted, returns the shortest reset time of all
 * limits.
 */
function resets(headers: ResponseHeaders, nowMs: number): number | null {
  const known = [...durations(headers), ...dates(headers, nowMs)];
  return known.length === 0 ? null : (usedUpMs(headers, nowMs) ?? Math.min(...known.map(({ ms }) => ms)));
}

const openAiLimits = ['requests', 'tokens'].map((limit) => ({
  reset: `x-ratelimit-reset-${limit}`,
  remaining: `x-ratelimit-remaining-${limit}`,
}));
const anthropicLimits = ['requests', 'tokens', 'input-tokens', 'output-tokens'].map((limit) => ({
  reset: `anthropic-ratelimit-${limit}-reset`,
  remaining: `anthropic-ratelimit-${limit}-remaining`,
}));

const remainings = [...openAiLimits, ...anthropicLimits].map(({ remaining }) => remaining);

type Reset = { ms: number; usedUp: boolean };

/** OpenAI and compatible servers send a reset time as a duration. */
function durations(headers: ResponseHeaders): Reset[] {
  return openAiLimits.flatMap(({ reset, remaining }) => {
    const text = one(headers, reset);
    const ms = text === null ? null : durationOf(text.trim());
    return ms === null ? [] : [{ ms: Math.ceil(ms), usedUp: one(headers, remaining) === '0' }];
  });
}

/** Anthropic sends a reset time as a date and time (RFC 3339). */
function dates(headers: ResponseHeaders, nowMs: number): Reset[] {
  return anthropicLimits.flatMap(({ reset, remaining }) => {
    const text = one(headers, reset);
    const at = text !== null && /^\d{4}-\d{2}-\d{2}[Tt]/.test(text) ? Date.parse(text) : Number.NaN;
    if (Number.isNaN(at)) return [];
    const usedUp = one(headers, remaining) === '0';
    return [{ ms: Math.max(0, at - nowMs), usedUp }];
  });
}

function milliseconds(text: string | null): number | null {
  return text !== null && /^\s*\d+(\.\d+)?\s*$/.test(text) ? Math.ceil(Number(text)) : null;
}

function secondsOrDate(text: string | null, nowMs: number): number | null {
  if (text === null) return null;
  if (/^\s*\d+(\.\d+)?\s*$/.test(text)) return Math.ceil(Number(text) * 1_000);
  // Requires a year, since Date.parse accepts even a single sign as a date.
  const at = /\d{4}/.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(at) ? null : Math.max(0, at - nowMs);
}

export function one(headers: ResponseHeaders, name: string): string | null {
  const value = headers[name];
  return (Array.isArray(value) ? value[0] : value) ?? null;
}

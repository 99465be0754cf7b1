/** The wait that a provider states, in headers or in the body of an error. */
import { z } from 'zod';

export type ResponseHeaders = Readonly<Record<string, string | string[] | undefined>>;

/** Milliseconds; null if unknown. `retry-after-ms` takes precedence over `retry-after`, and that over the reset times of rate limits. */
export const retryAfterMs = (headers: ResponseHeaders, nowMs: number): number | null =>
  statedRetryAfterMs(headers, nowMs) ?? resets(headers, nowMs);

/** The explicit wait headers only. Reset times don't count: a permanent refusal may hold them, too. */
export const statedRetryAfterMs = (headers: ResponseHeaders, nowMs: number): number | null =>
  milliseconds(one(headers, 'retry-after-ms')) ?? secondsOrDate(one(headers, 'retry-after'), nowMs);

const statedWaitPattern =
  /\b(?:try again|retry) in (?:((?:\d+(?:\.\d+)?(?:ms|[dhms]))+)|(\d+(?:\.\d+)?) ?seconds?)(?![a-z0-9])/i;
const retryInfoSchema = z.looseObject({ '@type': z.string().endsWith('RetryInfo'), retryDelay: z.string() });
const detailedSchema = z.object({ error: z.object({ details: z.array(z.unknown()) }) });

/** Milliseconds to wait named in the body of an error: Google's `RetryInfo`, or a text such as OpenAI's in a stream; null if there is none. */
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

/** Longer than any real duration. Without this bound the pattern below takes quadratic time on long texts. */
const durationCharactersMax = 64;

/** Milliseconds in `12ms`, `6m0s`, `1h2m3.5s`, `1d`; a bare number is seconds. Null for any other form. */
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
 * Milliseconds until the provider accepts requests again, from the headers of an answer: the longest reset time among the exhausted limits. Null if no limit is
 * exhausted, or if the headers don't say.
 */
export function usedUpMs(headers: ResponseHeaders, nowMs: number): number | null {
  // The common case: no limit is exhausted.
  if (!remainings.some((remaining) => one(headers, remaining) === '0')) return null;
  const usedUp = [...durations(headers), ...dates(headers, nowMs)].filter((limit) => limit.usedUp && limit.ms > 0);
  return usedUp.length === 0 ? null : Math.max(...usedUp.map(({ ms }) => ms));
}

/** The longest reset time among the exhausted limits; if none is marked as exhausted, the shortest of all. */
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

/** The limits of OpenAI and compatible servers: a duration. */
function durations(headers: ResponseHeaders): Reset[] {
  return openAiLimits.flatMap(({ reset, remaining }) => {
    const text = one(headers, reset);
    const ms = text === null ? null : durationOf(text.trim());
    return ms === null ? [] : [{ ms: Math.ceil(ms), usedUp: one(headers, remaining) === '0' }];
  });
}

/** The limits of Anthropic: a point in time, RFC 3339. */
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
  // Date.parse accepts other texts, such as a bare sign, as dates; a real date has a year in it.
  const at = /\d{4}/.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(at) ? null : Math.max(0, at - nowMs);
}

export function one(headers: ResponseHeaders, name: string): string | null {
  const value = headers[name];
  return (Array.isArray(value) ? value[0] : value) ?? null;
}

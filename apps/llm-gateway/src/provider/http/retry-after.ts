/** How long a provider asks to wait, by the headers of its answer or in its complaint. */
import { z } from 'zod';

export type ResponseHeaders = Readonly<Record<string, string | string[] | undefined>>;

/** Milliseconds; null where it doesn't say. `retry-after-ms` over `retry-after` over the resets of the limits that are used up. */
export const retryAfterMs = (headers: ResponseHeaders, nowMs: number): number | null =>
  statedRetryAfterMs(headers, nowMs) ?? resets(headers, nowMs);

/** Where it asks for it in so many words: an answer that is refused for good may tell of its limits' resets all the same. */
export const statedRetryAfterMs = (headers: ResponseHeaders, nowMs: number): number | null =>
  milliseconds(one(headers, 'retry-after-ms')) ?? secondsOrDate(one(headers, 'retry-after'), nowMs);

const toldWaitPattern =
  /\b(?:try again|retry) in (?:((?:\d+(?:\.\d+)?(?:ms|[dhms]))+)|(\d+(?:\.\d+)?) ?seconds?)(?![a-z0-9])/i;
const retryInfoSchema = z.looseObject({ '@type': z.string().endsWith('RetryInfo'), retryDelay: z.string() });
const detailedSchema = z.object({ error: z.object({ details: z.array(z.unknown()) }) });

/** Milliseconds that a complaint's body names: Google's `RetryInfo`, or a text such as OpenAI's in a stream; null where it doesn't say. */
export function toldWaitMs(body: unknown, message: string): number | null {
  const detailed = detailedSchema.safeParse(Array.isArray(body) ? body[0] : body);
  const delays = (detailed.data?.error.details ?? []).flatMap((detail) => {
    const delay = durationOf(retryInfoSchema.safeParse(detail).data?.retryDelay ?? '');
    return delay === null ? [] : [delay];
  });
  const [, duration, seconds] = toldWaitPattern.exec(message) ?? [];
  const told = delays[0] ?? durationOf(duration ?? seconds ?? '');
  return told === null ? null : Math.ceil(told);
}

/** Longer than any duration is written: a pattern that looks for one in a longer text may take the square of its length. */
const durationCharactersMax = 64;

/** `12ms`, `6m0s`, `1h2m3.5s`, `1d`; a bare number is seconds. Null where it is none of these. */
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
 * For how many milliseconds a provider will answer nothing more, as an answer that it gave tells: the longest of the limits that have nothing left with it. Null
 * where something is left of all, or where it doesn't tell.
 */
export function usedUpMs(headers: ResponseHeaders, nowMs: number): number | null {
  // Of most answers nothing more is to be read.
  if (!remainings.some((remaining) => one(headers, remaining) === '0')) return null;
  const usedUp = [...durations(headers), ...dates(headers, nowMs)].filter((limit) => limit.usedUp && limit.ms > 0);
  return usedUp.length === 0 ? null : Math.max(...usedUp.map(({ ms }) => ms));
}

/** Of the limits that have nothing left, the one that lasts longest; where none is said to be used up, the shortest. */
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

/** OpenAI's, and of whoever takes after it: how long it lasts. */
function durations(headers: ResponseHeaders): Reset[] {
  return openAiLimits.flatMap(({ reset, remaining }) => {
    const text = one(headers, reset);
    const ms = text === null ? null : durationOf(text.trim());
    return ms === null ? [] : [{ ms: Math.ceil(ms), usedUp: one(headers, remaining) === '0' }];
  });
}

/** Anthropic's: until when, in RFC 3339. */
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
  // Anything else that a date's parser would take for one (a bare sign, say) has no weekday or year in it.
  const at = /\d{4}/.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(at) ? null : Math.max(0, at - nowMs);
}

export function one(headers: ResponseHeaders, name: string): string | null {
  const value = headers[name];
  return (Array.isArray(value) ? value[0] : value) ?? null;
}

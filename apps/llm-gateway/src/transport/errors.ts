import { CoppiceError } from '@coppice/contracts';
import { redact } from '@coppice/telemetry';
import type { WireName } from '../provider/port.ts';
import { httpLimits } from './limits.ts';
import { one, retryAfterMs, statedRetryAfterMs, statedWaitMs } from './retry-after.ts';
import type { ResponseHeaders } from './retry-after.ts';

/** An error that a provider reported, either by HTTP status or inside a stream. */
export type Complaint = {
  provider: string;
  /** Missing if the error arrived inside a stream. */
  status?: number;
  headers?: ResponseHeaders;
  /** Body as parsed JSON, or as text if it isn't JSON. */
  body: unknown;
  /** The key, which some servers quote in their errors. It is redacted. */
  secret?: string | null;
  /** Wire format of the provider. Clients of the same format get the error's `param` and `code`. */
  wire?: WireName;
  nowMs?: number;
};

/**
 * The parsed error body. OpenAI sends `{error: {message, type, code}}`. Anthropic adds `type: "error"` next to `error`.
 * Ollama sends `{error: "text"}`, and FastAPI sends `{detail}`. Some servers send a list of any of these.
 */
type StatedError = { message: string; codes: string[]; status: number | null; param?: string; code?: string };

/** An error's `param` and `code` in the provider's wire format. The error's details contain them as `providerNames`. */
export type ProviderNames = { wire: WireName; param: string | null; code: string | null };

const contextPattern =
  /context_length|exceed_context|context.{0,10}(length|window|size|limit)|maximum context|prompt is too long|input token count.{0,40}exceeds|too many (input )?tokens/i;
const spentCodePattern = /^(insufficient_(quota|credits|funds|balance)|billing_\w+)$/i;
const spentPattern =
  /insufficient (quota|credits?|funds|balance)|billing|spend(ing)?[_ ]limit|credit balance|out of credits|exceeded your current quota|reached your (specified )?(api |workspace )*usage limits/i;
const missingModelPattern =
  /model[_ ]not[_ ]found|models?\b.*\b(not found|does not exist|not exist|unknown)|no such model|unknown model|try pulling|not_found_error model/i;
const limitedPattern = /rate[_ ]?limit|too many requests|resource_exhausted/i;
const badRequestPattern = /invalid_(request|prompt|image|base64)|bad request|content_policy|content_filter/i;
/** Text of Google's error for an invalid key, which has HTTP status 400. */
const invalidKeyPattern = /api key (not valid|expired|not found)/i;
/** Google's names of daily limits. The error states a wait of seconds, but the limit lasts longer. */
const dailyPattern = /"quotaId":"[^"]*PerDay/;
/** HTTP statuses of Anthropic's error types. An error inside a stream has a type but no status. */
const statusOfCode: Readonly<Record<string, number>> = {
  authentication_error: 401,
  billing_error: 402,
  permission_error: 403,
  not_found_error: 404,
  request_too_large: 413,
  rate_limit_error: 429,
  timeout_error: 504,
  overloaded_error: 529,
};
const refusedKeyPattern = /invalid_api_key|incorrect api key|authentication|unauthorized|permission_denied/i;

/**
 * Converts the provider's error to an error of the provider port's failure contract. The message contains the
 * provider's text, shortened and without anything that looks like a key.
 */
export function providerError({
  provider,
  status,
  headers = {},
  body,
  secret,
  wire,
  nowMs = Date.now(),
}: Complaint): CoppiceError {
  const complaint = withoutSecret(body, secret ?? null);
  const stated = statedIn(complaint);
  const effective = status === undefined || (status >= 200 && status < 300) ? stated.status : status;
  const all = [...stated.codes, stated.message].join(' ');
  const where = status === undefined ? 'in its answer' : `HTTP ${status}`;
  const message = `${provider}: ${stated.message || 'an error without a text'} (${where})`;
  const isDaily = dailyPattern.test(JSON.stringify(complaint) ?? '');
  const statedMs = statedRetryAfterMs(headers, nowMs) ?? statedWaitMs(complaint, stated.message);
  const waitMs = isDaily ? null : (statedMs ?? retryAfterMs(headers, nowMs));
  const details = {
    ...(effective === null ? {} : { status: effective }),
    ...(stated.codes.length === 0 ? {} : { providerCodes: stated.codes }),
    // A body in plain text comes from an intermediate server, not from the provider.
    ...(wire === undefined || typeof complaint === 'string' ? {} : { providerNames: namesOf(wire, stated) }),
    ...(waitMs === null ? {} : { retryAfterMs: waitMs }),
  };
  const fail = (
    code: 'provider-failed' | 'provider-limited' | 'invalid-request' | 'model-not-found',
    retryable: boolean,
  ) => new CoppiceError(code, message, { details, retryable });

  // Too many bytes have the same remedy as too many tokens.
  if (contextPattern.test(all) || effective === 413) {
    return new CoppiceError('context-exceeded', message, { details });
  }
  // A reached spend limit also has status 429, but waiting doesn't help, so it is checked before the rate limits.
  // Gemini mentions billing for temporary limits, too, but then states a wait.
  const passes = isDaily || statedMs !== null;
  const spent = stated.codes.some((code) => spentCodePattern.test(code)) || (!passes && spentPattern.test(all));
  if (effective === 402 || spent) return fail('provider-failed', false);
  if (effective === 401 || effective === 403) return fail('provider-failed', false);
  if (effective === 429) return fail('provider-limited', !isDaily && one(headers, 'x-should-retry') !== 'false');
  if (effective === 404) return fail(missingModelPattern.test(all) ? 'model-not-found' : 'provider-failed', false);
  if (effective === 408 || effective === 409 || effective === 425) return fail('provider-failed', true);
  if (effective !== null && effective >= 500) {
    return fail('provider-failed', effective !== 501 && one(headers, 'x-should-retry') !== 'false');
  }
  if (effective !== null && effective >= 400) {
    if (invalidKeyPattern.test(all)) return fail('provider-failed', false);
    return fail(missingModelPattern.test(all) ? 'model-not-found' : 'invalid-request', false);
  }
  return fail(...byText(all, effective === null));
}

/**
 * Classifies an error without a status by its text. If the text is unknown, the error is retryable only inside a
 * stream.
 */
function byText(
  all: string,
  inStream: boolean,
): ['provider-failed' | 'provider-limited' | 'invalid-request' | 'model-not-found', boolean] {
  if (limitedPattern.test(all)) return ['provider-limited', true];
  if (missingModelPattern.test(all)) return ['model-not-found', false];
  if (refusedKeyPattern.test(all)) return ['provider-failed', false];
  if (badRequestPattern.test(all)) return ['invalid-request', false];
  return ['provider-failed', inStream];
}

const namesOf = (wire: WireName, { param, code }: StatedError): ProviderNames => ({
  wire,
  param: param ?? null,
  code: code ?? null,
});

function statedIn(body: unknown): StatedError {
  if (typeof body === 'string') return { message: shortened(body), codes: [], status: null };
  if (Array.isArray(body)) return statedIn(body[0]);
  if (typeof body !== 'object' || body === null) return { message: '', codes: [], status: null };
  const fields = body as Record<string, unknown>;
  const inner = fields['error'] ?? fields['detail'];
  const { message, type, param, code, status } = fields;
  if (inner !== undefined && inner !== null && message === undefined) return statedIn(inner);
  const codes = [type, code, status].filter((each) => typeof each === 'string').map(shortened);
  const number = [code, status].map(Number).find((each) => Number.isInteger(each) && each >= 400 && each < 600);
  const text = typeof message === 'string' ? message : (JSON.stringify(body) ?? '');
  const byCode = codes.map((each) => statusOfCode[each]).find((each) => each !== undefined);
  return {
    message: shortened(text),
    codes,
    status: number ?? byCode ?? null,
    ...(typeof param === 'string' ? { param: shortened(param) } : {}),
    ...(typeof code === 'string' ? { code: shortened(code) } : {}),
  };
}

/**
 * Redacts the key. It must run before any text is cut, since a cut could leave a part of the key. Keys contain no
 * characters that JSON escapes.
 */
function withoutSecret(body: unknown, secret: string | null): unknown {
  if (secret === null || body === undefined) return body;
  return JSON.parse(JSON.stringify(body).replaceAll(secret, '[redacted]')) as unknown;
}

function shortened(text: string): string {
  const { errorTextCharactersRead: read, errorTextCharactersMax: charactersMax, keyCharactersMax } = httpLimits;
  const whole = text.length <= read;
  const safe = whole ? redact(text) : redact(text.slice(0, read)).slice(0, -keyCharactersMax);
  const line = safe.replaceAll(/\s+/g, ' ').trim();
  return whole && line.length <= charactersMax ? line : `${line.slice(0, charactersMax)}…`;
}

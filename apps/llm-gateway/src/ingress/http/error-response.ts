/** Maps the gateway's errors to HTTP. Endpoints convert the result to their vendor's format. */
import { CoppiceError } from '@coppice/contracts';
import type { ErrorCode, FieldIssue } from '@coppice/contracts';
import { isFailing } from '../../routing/candidate.ts';
import type { ProviderNames } from '../../transport/errors.ts';
import type { EndpointFormat } from './endpoint-formats.ts';

export type Complaint = {
  status: number;
  message: string;
  code: ErrorCode;
  /** The first invalid field; null if the error isn't about a field. */
  issue: FieldIssue | null;
  /** True if a retry by the client may help. */
  retryable: boolean;
  /** Null if unknown. */
  retryAfterMs: number | null;
  /**
   * True if a budget is used up, so a later retry doesn't help. False if other calls have only reserved the rest of the
   * budget.
   */
  spent: boolean;
};

const statusOfCode: Readonly<Partial<Record<ErrorCode, number>>> = {
  'invalid-request': 400,
  'context-exceeded': 400,
  'permission-denied': 403,
  'not-found': 404,
  'model-not-found': 404,
  'limit-exceeded': 413,
  'provider-limited': 429,
  unavailable: 503,
  cancelled: 503,
  'deadline-exceeded': 504,
};

/**
 * Statuses of a provider that the client also gets. With other statuses, such as 401, a client would look for the
 * mistake in its own request, although the gateway's configuration may be wrong.
 */
const passedStatuses = [500, 502, 503, 504, 529];
/**
 * Matches the text of a 403 error that is about the client's request. Most 403 errors are about the gateway's key or
 * account, which `accountPattern` matches.
 */
const clientsPattern = /\b(flagged|moderation|cached ?contents?|files?)\b/i;
const accountPattern = /\b(api[ _-]?keys?|credentials?|scopes?|account|organi[sz]ation|project|billing)\b/i;

/** Creates an error of the façade itself. `httpStatus` replaces the status that belongs to the code. */
export const refusal = (
  code: ErrorCode,
  httpStatus: number,
  message: string,
  details: Record<string, unknown> = {},
): CoppiceError => new CoppiceError(code, message, { details: { ...details, httpStatus } });

/** @param wire the client's wire format */
export function complaintOf(error: CoppiceError, wire: EndpointFormat): Complaint {
  const { code, message, retryable, details = {} } = error;
  const spent = code === 'limit-exceeded' && details['budget'] !== undefined;
  const [issue] = Array.isArray(details['issues']) ? (details['issues'] as FieldIssue[]) : [];
  // If the provider keeps failing, the gateway has already retried, so a retry by the client would only delay the same
  // error.
  const failing = isFailing(error);
  const retryAfterMs = Number(details['retryAfterMs'] ?? Number.NaN);
  return {
    status: statusOf(error, wire, spent),
    message,
    code,
    issue: issue ?? null,
    retryable: retryable && !failing,
    retryAfterMs: !failing && Number.isFinite(retryAfterMs) && retryAfterMs >= 0 ? retryAfterMs : null,
    spent,
  };
}

function statusOf(error: CoppiceError, wire: EndpointFormat, spent: boolean): number {
  const { code, details = {} } = error;
  if (typeof details['httpStatus'] === 'number') return details['httpStatus'];
  if (spent) return 429;
  if (code !== 'provider-failed') return statusOfCode[code] ?? 500;
  const upstream = Number(details['status']);
  return passedStatuses.includes(upstream) || isOfTheClient(error, upstream, wire) ? upstream : 502;
}

/**
 * Reports whether the client's request caused the error, for example by referencing a file that the vendor doesn't
 * have. The client then gets the provider's status.
 */
function isOfTheClient({ message, details }: CoppiceError, upstream: number, wire: EndpointFormat): boolean {
  const names = details?.['providerNames'] as ProviderNames | undefined;
  if (names?.wire !== wire) return false;
  return upstream === 404 || (upstream === 403 && clientsPattern.test(message) && !accountPattern.test(message));
}

/** Returns the headers by which the vendors' clients decide whether and when to retry. */
export function retryHeaders({ retryAfterMs, retryable, status }: Complaint): Record<string, string> {
  const wait =
    retryAfterMs === null
      ? {}
      : { 'retry-after': String(Math.ceil(retryAfterMs / 1_000)), 'retry-after-ms': String(Math.ceil(retryAfterMs)) };
  // Without this header, the vendors' clients retry after the statuses 408, 409, 429 and 5xx.
  return { ...wait, ...(retryable || status < 408 ? {} : { 'x-should-retry': 'false' }) };
}

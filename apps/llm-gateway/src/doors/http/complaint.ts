/** An error of the gateway in HTTP's words. What each vendor makes of it is its door's. */
import { CoppiceError } from '@coppice/contracts';
import type { ErrorCode, FieldIssue } from '@coppice/contracts';
import { isFailing } from '../../exchange/candidate.ts';
import type { ProviderNames } from '../../provider/http/errors.ts';
import type { WireName } from '../../provider/port.ts';

export type Complaint = {
  status: number;
  message: string;
  code: ErrorCode;
  /** The first field that is wrong; null where it isn't about one. */
  issue: FieldIssue | null;
  /** Whether its client is to ask again by itself. */
  retryable: boolean;
  /** How long it then is to wait, where that is known. */
  retryAfterMs: number | null;
  /** A budget is used up: waiting doesn't help, as it does where calls in flight have reserved what is left. */
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

/** Others a client would take for a fault of its own: of a provider it is the gateway's fault, or that of whoever set it up. */
const passedStatuses = [500, 502, 503, 504, 529];
/** Most are of the gateway's key or account; some speak of what the client asked for. */
const clientsPattern = /\b(flagged|moderation|cached ?contents?|files?)\b/i;
const accountPattern = /\b(api[ _-]?keys?|credentials?|scopes?|account|organi[sz]ation|project|billing)\b/i;

/** The façade's own refusals, with the status that they have beyond their code's. */
export const refusal = (
  code: ErrorCode,
  httpStatus: number,
  message: string,
  details: Record<string, unknown> = {},
): CoppiceError => new CoppiceError(code, message, { details: { ...details, httpStatus } });

/** @param wire of the client */
export function complaintOf(error: CoppiceError, wire: WireName): Complaint {
  const { code, message, retryable, details = {} } = error;
  const spent = code === 'limit-exceeded' && details['budget'] !== undefined;
  const [issue] = Array.isArray(details['issues']) ? (details['issues'] as FieldIssue[]) : [];
  // The gateway has tried it again and again: a client that did so, too, would keep its user waiting for the same error.
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

function statusOf(error: CoppiceError, wire: WireName, spent: boolean): number {
  const { code, details = {} } = error;
  if (typeof details['httpStatus'] === 'number') return details['httpStatus'];
  if (spent) return 429;
  if (code !== 'provider-failed') return statusOfCode[code] ?? 500;
  const upstream = Number(details['status']);
  return passedStatuses.includes(upstream) || isOfTheClient(error, upstream, wire) ? upstream : 502;
}

/** What its vendor keeps for it, a client names in the vendor's own words: a response before this one, a file, a cached prompt. That it isn't there is the client's to know. */
function isOfTheClient({ message, details }: CoppiceError, upstream: number, wire: WireName): boolean {
  const names = details?.['providerNames'] as ProviderNames | undefined;
  if (names?.wire !== wire) return false;
  return upstream === 404 || (upstream === 403 && clientsPattern.test(message) && !accountPattern.test(message));
}

/** What says when to come again, as the vendors' own clients read it. */
export function retryHeaders({ retryAfterMs, retryable, status }: Complaint): Record<string, string> {
  const wait =
    retryAfterMs === null
      ? {}
      : { 'retry-after': String(Math.ceil(retryAfterMs / 1_000)), 'retry-after-ms': String(Math.ceil(retryAfterMs)) };
  // Their clients ask again after 408, 409, 429 and 5xx, unless told not to.
  return { ...wait, ...(retryable || status < 408 ? {} : { 'x-should-retry': 'false' }) };
}

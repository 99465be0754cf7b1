/** An error of the gateway in HTTP's words. What each vendor makes of it is its door's. */
import { CoppiceError } from '@coppice/contracts';
import type { ErrorCode, FieldIssue } from '@coppice/contracts';
import { isFailing } from '../../exchange/candidate.ts';

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

/** What a client would take for a fault of its own: of a provider it is the gateway's fault, or that of whoever set it up. */
const passedStatuses = [500, 502, 503, 504, 529];

/** The façade's own refusals, with the status that they have beyond their code's. */
export const refusal = (
  code: ErrorCode,
  httpStatus: number,
  message: string,
  details: Record<string, unknown> = {},
): CoppiceError => new CoppiceError(code, message, { details: { ...details, httpStatus } });

export function complaintOf(error: CoppiceError): Complaint {
  const { code, message, retryable, details = {} } = error;
  const spent = code === 'limit-exceeded' && details['budget'] !== undefined;
  const [issue] = Array.isArray(details['issues']) ? (details['issues'] as FieldIssue[]) : [];
  // The gateway has tried it again and again: a client that did so, too, would keep its user waiting for the same error.
  const failing = isFailing(error);
  const retryAfterMs = Number(details['retryAfterMs'] ?? Number.NaN);
  return {
    status: statusOf(error, spent),
    message,
    code,
    issue: issue ?? null,
    retryable: retryable && !failing,
    retryAfterMs: !failing && Number.isFinite(retryAfterMs) && retryAfterMs >= 0 ? retryAfterMs : null,
    spent,
  };
}

function statusOf({ code, details = {} }: CoppiceError, spent: boolean): number {
  if (typeof details['httpStatus'] === 'number') return details['httpStatus'];
  if (spent) return 429;
  if (code !== 'provider-failed') return statusOfCode[code] ?? 500;
  const upstream = Number(details['status']);
  return passedStatuses.includes(upstream) ? upstream : 502;
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

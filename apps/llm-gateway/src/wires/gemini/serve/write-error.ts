import type { CoppiceError } from '@coppice/contracts';
import { complaintOf, retryHeaders } from '../../../ingress/http/error-response.ts';
import type { ErrorAnswer } from '../../../ingress/http/endpoint.ts';

const statusNames: Readonly<Record<number, string>> = {
  400: 'INVALID_ARGUMENT',
  401: 'UNAUTHENTICATED',
  403: 'PERMISSION_DENIED',
  404: 'NOT_FOUND',
  413: 'INVALID_ARGUMENT',
  429: 'RESOURCE_EXHAUSTED',
  500: 'INTERNAL',
  503: 'UNAVAILABLE',
  504: 'DEADLINE_EXCEEDED',
};

/** Clients of Google's APIs read the retry delay from the body. */
export function generateError(error: CoppiceError): ErrorAnswer {
  const complaint = complaintOf(error, 'gemini');
  const { message, retryAfterMs, issue } = complaint;
  const status = complaint.status === 529 ? 503 : complaint.status;
  const name = statusNames[status] ?? (status < 500 ? 'INVALID_ARGUMENT' : 'INTERNAL');
  const details = [
    ...(retryAfterMs === null
      ? []
      : [{ '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: `${retryAfterMs / 1_000}s` }]),
    ...(issue === null
      ? []
      : [
          {
            '@type': 'type.googleapis.com/google.rpc.BadRequest',
            fieldViolations: [
              { field: issue.field, description: `expected ${issue.expected}, received ${issue.received}` },
            ],
          },
        ]),
  ];
  const answer = { code: status, message, status: name, ...(details.length === 0 ? {} : { details }) };
  return { status, headers: retryHeaders(complaint), body: { error: answer } };
}

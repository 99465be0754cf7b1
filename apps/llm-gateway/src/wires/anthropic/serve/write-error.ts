import type { CoppiceError } from '@coppice/contracts';
import { complaintOf, retryHeaders } from '../../../ingress/http/error-response.ts';
import type { Complaint } from '../../../ingress/http/error-response.ts';
import type { ErrorAnswer } from '../../../ingress/http/endpoint.ts';

const typeOfStatus: Readonly<Record<number, string>> = {
  400: 'invalid_request_error',
  401: 'authentication_error',
  403: 'permission_error',
  404: 'not_found_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
  503: 'overloaded_error',
  504: 'timeout_error',
  529: 'overloaded_error',
};

export function messagesError(error: CoppiceError): ErrorAnswer {
  const complaint = complaintOf(error, 'anthropic');
  // Anthropic uses 529 instead of 503.
  const status = complaint.status === 503 ? 529 : complaint.status;
  const type = typeOfStatus[status] ?? (status < 500 ? 'invalid_request_error' : 'api_error');
  return {
    status,
    headers: retryHeaders(complaint),
    body: { type: 'error', error: { type, message: textOf(complaint) } },
  };
}

function textOf({ code, message, issue }: Complaint): string {
  // Clients recognize this text, and shorten the conversation.
  if (code === 'context-exceeded') return `prompt is too long: ${message}`;
  if (code !== 'invalid-request' || issue === null || issue.field === '') return message;
  const field = issue.field.replaceAll(/\[(\d+)\]/g, '.$1');
  return `${field}: expected ${issue.expected}, received ${issue.received}`;
}

import type { CoppiceError } from '@coppice/contracts';
import { complaintOf, retryHeaders } from '../../../ingress/http/error-response.ts';
import type { ErrorAnswer } from '../../../ingress/http/endpoint.ts';

/** Error in Ollama's format: only a message. */
export function ollamaError(error: CoppiceError): ErrorAnswer {
  const complaint = complaintOf(error, 'ollama');
  return { status: complaint.status, headers: retryHeaders(complaint), body: { error: complaint.message } };
}

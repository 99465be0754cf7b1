import type { CoppiceError } from '@coppice/contracts';
import { complaintOf, retryHeaders } from '../complaint.ts';
import type { ErrorAnswer } from '../door.ts';

/** Error in Ollama's format: only a message. */
export function ollamaError(error: CoppiceError): ErrorAnswer {
  const complaint = complaintOf(error, 'ollama');
  return { status: complaint.status, headers: retryHeaders(complaint), body: { error: complaint.message } };
}

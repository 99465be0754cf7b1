import type { CoppiceError } from '@coppice/contracts';
import { complaintOf, retryHeaders } from '../complaint.ts';
import type { ErrorAnswer } from '../door.ts';

/** An error as Ollama tells it: a sentence. */
export function ollamaError(error: CoppiceError): ErrorAnswer {
  const complaint = complaintOf(error, 'ollama');
  return { status: complaint.status, headers: retryHeaders(complaint), body: { error: complaint.message } };
}

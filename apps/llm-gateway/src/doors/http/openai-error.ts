import type { CoppiceError } from '@coppice/contracts';
import { complaintOf, retryHeaders } from './complaint.ts';
import type { Complaint } from './complaint.ts';
import type { ErrorAnswer } from './door.ts';

/** An error as OpenAI tells it, the same at both of its doors. */
export function openAiError(error: CoppiceError): ErrorAnswer & { type: string; code: string | null } {
  const complaint = complaintOf(error);
  const { status, message, issue } = complaint;
  const type = typeOf(complaint);
  const code = codeOf(complaint);
  const body = { error: { message, type, param: issue?.field ?? null, code } };
  return { status, headers: retryHeaders(complaint), body, type, code };
}

function typeOf({ status, spent }: Complaint): string {
  if (spent) return 'insufficient_quota';
  if (status === 429) return 'rate_limit_error';
  return status < 500 ? 'invalid_request_error' : 'server_error';
}

function codeOf({ status, code, spent }: Complaint): string | null {
  if (spent) return 'insufficient_quota';
  if (status === 401) return 'invalid_api_key';
  if (status === 429) return 'rate_limit_exceeded';
  if (code === 'model-not-found') return 'model_not_found';
  if (code === 'context-exceeded') return 'context_length_exceeded';
  return status >= 500 ? 'server_error' : null;
}

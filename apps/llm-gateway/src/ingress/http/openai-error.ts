import type { CoppiceError } from '@coppice/contracts';
import type { ProviderNames } from '../../transport/errors.ts';
import { complaintOf, retryHeaders } from './error-response.ts';
import type { Complaint } from './error-response.ts';
import type { ErrorAnswer } from './endpoint.ts';
import type { EndpointFormat } from './endpoint-formats.ts';

type OpenAiError = ErrorAnswer & { type: string; code: string | null };

/**
 * Passes on `param` and `code` from a provider of the client's wire format, so that the client can correct its request.
 */
export function openAiError(error: CoppiceError, wire: EndpointFormat): OpenAiError {
  const complaint = complaintOf(error, wire);
  const { status, message, issue } = complaint;
  const type = typeOf(complaint);
  const named = namedBy(error, wire);
  const code = codeOf(complaint) ?? named?.code ?? null;
  const body = { error: { message, type, param: issue?.field ?? named?.param ?? null, code } };
  return { status, headers: retryHeaders(complaint), body, type, code };
}

/** Returns null if the provider's error isn't about the client's request. */
function namedBy({ code, details }: CoppiceError, wire: EndpointFormat): ProviderNames | null {
  const ofTheRequest = code === 'invalid-request' || code === 'context-exceeded' || code === 'model-not-found';
  const names = details?.['providerNames'] as ProviderNames | undefined;
  return ofTheRequest && names?.wire === wire ? names : null;
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

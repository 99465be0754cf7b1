import type { Endpoint } from '../../../ingress/http/endpoint.ts';
import { parseMessagesRequest } from './parse-request.ts';
import { messagesError } from './write-error.ts';

/** `POST /v1/messages`. */
export const messagesEndpoint: Endpoint = {
  wire: 'anthropic',
  provider: 'anthropic',
  headers: ['anthropic-version', 'anthropic-beta'],
  parse: parseMessagesRequest,
  error: messagesError,
};

import type { Endpoint } from '../../../ingress/http/endpoint.ts';
import { parseOllamaRequest } from './parse-request.ts';
import { ollamaError } from './write-error.ts';

/** `POST /api/chat`. */
export const ollamaEndpoint: Endpoint = {
  wire: 'ollama',
  provider: 'ollama',
  headers: [],
  parse: parseOllamaRequest,
  error: ollamaError,
};

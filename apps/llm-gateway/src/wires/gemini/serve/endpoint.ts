import type { Endpoint } from '../../../ingress/http/endpoint.ts';
import { parseGenerateRequest } from './parse-request.ts';
import { generateError } from './write-error.ts';

/** `POST /v1beta/models/MODEL:generateContent` and `…:streamGenerateContent`. */
export const geminiEndpoint: Endpoint = {
  wire: 'gemini',
  provider: 'gemini',
  headers: [],
  parse: parseGenerateRequest,
  error: generateError,
};

import type { Endpoint } from '../../../ingress/http/endpoint.ts';
import { openAiError } from '../../../ingress/http/openai-error.ts';
import { parseChatRequest } from './parse-request.ts';

/** `POST /v1/chat/completions`. */
export const chatEndpoint: Endpoint = {
  wire: 'openai-chat',
  provider: 'openai',
  headers: ['openai-beta'],
  parse: parseChatRequest,
  error: (error) => openAiError(error, 'openai-chat'),
};

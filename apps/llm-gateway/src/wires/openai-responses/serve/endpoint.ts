import type { Endpoint } from '../../../ingress/http/endpoint.ts';
import { openAiError } from '../../../ingress/http/openai-error.ts';
import { parseResponsesRequest } from './parse-request.ts';
import { keysNamed, withOwnItems } from './references.ts';

/** `POST /v1/responses`. */
export const responsesEndpoint: Endpoint = {
  wire: 'openai-responses',
  provider: 'openai-responses',
  headers: ['openai-beta'],
  parse: parseResponsesRequest,
  references: { named: keysNamed, put: withOwnItems },
  error: (error) => openAiError(error, 'openai-responses'),
};

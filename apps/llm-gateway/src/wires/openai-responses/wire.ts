import type { ServedWire } from '../../transport/wire.ts';
import { passedOn, requestBody } from './request.ts';
import { ResponsesReader } from './response.ts';
import { listedIds } from '../tolerant.ts';

/** OpenAI's Responses API. */
export const openAiResponses: ServedWire = {
  name: 'openai-responses',
  framing: 'server-sent-events',
  path: () => 'responses',
  headers: (original) => original?.headers ?? {},
  keyHeaders: (key) => ({ authorization: `Bearer ${key}` }),
  body: requestBody,
  passOn: passedOn,
  reader: (about) => new ResponsesReader(about),
  models: {
    path: 'models',
    names: listedIds,
  },
};

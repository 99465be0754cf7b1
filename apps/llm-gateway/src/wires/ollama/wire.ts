import type { Wire } from '../../transport/wire.ts';
import { requestBody } from './request.ts';
import { LinesReader } from './response.ts';
import { modelListSchema } from './schemas.ts';

/** Ollama's own chat API. */
export const ollama: Wire = {
  name: 'ollama',
  framing: 'json-lines',
  path: () => 'api/chat',
  headers: () => ({}),
  // Ollama's cloud servers require a key.
  keyHeaders: (key) => ({ authorization: `Bearer ${key}` }),
  body: requestBody,
  reader: (about) => new LinesReader(about),
  models: {
    path: 'api/tags',
    names: (body) => modelListSchema.safeParse(body).data?.models.map(({ name }) => name) ?? null,
  },
};

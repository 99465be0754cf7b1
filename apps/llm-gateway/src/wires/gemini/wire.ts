import type { ServedWire } from '../../transport/wire.ts';
import { modelPath, passedOn, requestBody } from './request.ts';
import { GeminiReader } from './response.ts';
import { modelListSchema } from './schemas.ts';

/** Google's Gemini API. The base URL has no path, since the wire format includes the API version. */
export const gemini: ServedWire = {
  name: 'gemini',
  framing: 'server-sent-events',
  path: (model, stream) => `v1beta/${modelPath(model)}:${stream ? 'streamGenerateContent?alt=sse' : 'generateContent'}`,
  headers: (original) => original?.headers ?? {},
  keyHeaders: (key) => ({ 'x-goog-api-key': key }),
  body: requestBody,
  passOn: passedOn,
  reader: (about) => new GeminiReader(about),
  models: {
    path: 'v1beta/models?pageSize=1000',
    names: (body) =>
      modelListSchema
        .safeParse(body)
        .data?.models.filter((model) => model.supportedGenerationMethods?.includes('generateContent') ?? true)
        .map(({ name }) => name.replace(/^models\//, '')) ?? null,
  },
};

/** Google's Gemini API. */
import { answerText, answerUsage } from '../answer.ts';
import type { AnswerRequest, Format, RequestLine, Stream } from '../format.ts';

const modelPath = /^\/v1(?:beta|alpha)?\/models\/(.+):(generateContent|streamGenerateContent|countTokens)$/;

const statusNames: Readonly<Record<number, string>> = {
  400: 'INVALID_ARGUMENT',
  403: 'PERMISSION_DENIED',
  404: 'NOT_FOUND',
  429: 'RESOURCE_EXHAUSTED',
  500: 'INTERNAL',
  503: 'UNAVAILABLE',
};

const errorOf = (code: number, message: string, details?: readonly object[]): object => ({
  error: { code, message, status: statusNames[code] ?? 'UNKNOWN', ...(details === undefined ? {} : { details }) },
});

const overloaded = errorOf(503, 'The model is overloaded. Please try again later.');

/** `candidatesTokenCount` is the number of output tokens so far. */
const chunk = (
  { id, model }: AnswerRequest,
  text: string,
  candidatesTokenCount: number,
  ending: object = {},
): object => ({
  candidates: [{ content: { parts: [{ text }], role: 'model' }, ...ending, index: 0 }],
  usageMetadata: {
    promptTokenCount: answerUsage.inputTokens,
    candidatesTokenCount,
    totalTokenCount: answerUsage.inputTokens + candidatesTokenCount,
    promptTokensDetails: [{ modality: 'TEXT', tokenCount: answerUsage.inputTokens }],
  },
  modelVersion: model,
  responseId: id,
});

const complete = { finishReason: 'STOP' };

/** Each event has the form of a whole answer. Since the first event already has output, `opening` is empty. */
const stream = (request: AnswerRequest): Stream => ({
  framing: request.query.get('alt') === 'sse' ? 'server-sent-events' : 'json-array',
  opening: [],
  piece: (text, index) => ({ data: chunk(request, text, index + 1) }),
  ending: [{ data: chunk(request, '', answerUsage.outputTokens, complete) }],
  overloaded: [{ data: overloaded }],
});

function kind({ method, path, headers, query }: RequestLine): ReturnType<Format['kind']> {
  const [, , verb] = method === 'POST' ? (modelPath.exec(path) ?? []) : [];
  if (verb !== undefined) return verb === 'countTokens' ? 'token-count' : 'answer';
  const isOwn = path !== '/v1/models' || headers['x-goog-api-key'] !== undefined || query.has('key');
  return method === 'GET' && /^\/v1(?:beta|alpha)?\/models$/.test(path) && isOwn ? 'models' : null;
}

export const gemini: Format = {
  name: 'gemini',
  kind,
  read({ path }) {
    const [, model = '', verb] = modelPath.exec(path) ?? [];
    return { model: decodeURIComponent(model), stream: verb === 'streamGenerateContent' };
  },
  stream,
  whole: (request) => chunk(request, answerText, answerUsage.outputTokens, complete),
  overloaded: () => overloaded,
  error: errorOf,
  spent: {
    status: 429,
    body: errorOf(429, 'You exceeded your current quota, please check your plan and billing details.', [
      {
        '@type': 'type.googleapis.com/google.rpc.QuotaFailure',
        violations: [{ quotaId: 'GenerateRequestsPerDayPerProjectPerModel-FreeTier' }],
      },
      // Gemini states this wait, although the daily limit lasts longer.
      { '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: '20s' },
    ]),
  },
  refusedKey: {
    status: 400,
    body: errorOf(400, 'API key not valid. Please pass a valid API key.', [
      { '@type': 'type.googleapis.com/google.rpc.ErrorInfo', reason: 'API_KEY_INVALID', domain: 'googleapis.com' },
    ]),
  },
  models: (names) => ({
    models: names.map((name) => ({
      name: `models/${name}`,
      baseModelId: name,
      version: '001',
      displayName: name,
      supportedGenerationMethods: ['generateContent', 'countTokens'],
    })),
  }),
  tokenCount: {
    totalTokens: answerUsage.inputTokens,
    promptTokensDetails: [{ modality: 'TEXT', tokenCount: answerUsage.inputTokens }],
  },
};

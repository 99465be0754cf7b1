/** OpenAI's Chat Completions API. */
import { answerText, answerUsage } from '../answer.ts';
import type { AnswerRequest, Fields, Format, Stream, StreamEvent } from '../format.ts';
import { openAiError, openAiModels, openAiOverloadText, openAiRefusedKey, openAiSpent, readOpenAi } from './openai.ts';

const usage = {
  prompt_tokens: answerUsage.inputTokens,
  completion_tokens: answerUsage.outputTokens,
  total_tokens: answerUsage.inputTokens + answerUsage.outputTokens,
  prompt_tokens_details: { cached_tokens: 0, audio_tokens: 0 },
  completion_tokens_details: {
    reasoning_tokens: 0,
    audio_tokens: 0,
    accepted_prediction_tokens: 0,
    rejected_prediction_tokens: 0,
  },
};

const head = ({ id, model, now }: AnswerRequest, object: string): object => ({
  id: `chatcmpl-${id}`,
  object,
  created: Math.floor(now.getTime() / 1_000),
  model,
  service_tier: 'default',
  system_fingerprint: null,
});

/** If the request asks for usage, a separate chunk contains it, and all other chunks have `usage: null`. */
function stream(request: AnswerRequest): Stream {
  const wantsUsage = (request.body['stream_options'] as Fields | null | undefined)?.['include_usage'] === true;
  const chunk = (delta: object, finishReason: string | null = null): StreamEvent => ({
    data: {
      ...head(request, 'chat.completion.chunk'),
      choices: [{ index: 0, delta, logprobs: null, finish_reason: finishReason }],
      ...(wantsUsage ? { usage: null } : {}),
    },
  });
  const counted = { data: { ...head(request, 'chat.completion.chunk'), choices: [], usage } };
  return {
    framing: 'server-sent-events',
    opening: [chunk({ role: 'assistant', content: '', refusal: null })],
    piece: (content) => chunk({ content }),
    ending: [chunk({}, 'stop'), ...(wantsUsage ? [counted] : []), { data: '[DONE]' }],
    overloaded: [{ data: openAiError(503, openAiOverloadText) }],
  };
}

export const openAiChat: Format = {
  name: 'openai-chat',
  kind({ method, path }) {
    if (method === 'POST' && path === '/v1/chat/completions') return 'answer';
    return method === 'GET' && path === '/v1/models' ? 'models' : null;
  },
  read: readOpenAi,
  stream,
  whole: (request) => ({
    ...head(request, 'chat.completion'),
    choices: [
      {
        index: 0,
        message: { role: 'assistant', content: answerText, refusal: null, annotations: [] },
        logprobs: null,
        finish_reason: 'stop',
      },
    ],
    usage,
  }),
  overloaded: () => openAiError(503, openAiOverloadText),
  error: openAiError,
  spent: openAiSpent,
  refusedKey: openAiRefusedKey,
  models: openAiModels,
  tokenCount: null,
};

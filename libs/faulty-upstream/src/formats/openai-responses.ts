/** OpenAI's Responses API. */
import { answerPieces, answerText, answerUsage } from '../answer.ts';
import type { AnswerRequest, Format, Stream, StreamEvent } from '../format.ts';
import { openAiError, openAiModels, openAiOverloadText, openAiRefusedKey, openAiSpent, readOpenAi } from './openai.ts';

const usage = {
  input_tokens: answerUsage.inputTokens,
  input_tokens_details: { cached_tokens: 0 },
  output_tokens: answerUsage.outputTokens,
  output_tokens_details: { reasoning_tokens: 0 },
  total_tokens: answerUsage.inputTokens + answerUsage.outputTokens,
};

const textPart = (text: string): object => ({ type: 'output_text', annotations: [], logprobs: [], text });

const itemOf = (id: string, status: 'in_progress' | 'completed'): object => ({
  id: `msg_${id}`,
  type: 'message',
  status,
  content: status === 'completed' ? [textPart(answerText)] : [],
  role: 'assistant',
});

function responseOf(request: AnswerRequest, status: 'in_progress' | 'completed' | 'failed'): object {
  const isComplete = status === 'completed';
  return {
    id: `resp_${request.id}`,
    object: 'response',
    created_at: Math.floor(request.now.getTime() / 1_000),
    status,
    background: false,
    error: status === 'failed' ? { code: 'server_error', message: openAiOverloadText } : null,
    incomplete_details: null,
    instructions: null,
    max_output_tokens: null,
    metadata: {},
    model: request.model,
    output: isComplete ? [itemOf(request.id, status)] : [],
    parallel_tool_calls: true,
    previous_response_id: null,
    reasoning: { effort: null, summary: null },
    service_tier: 'auto',
    store: true,
    temperature: 1,
    text: { format: { type: 'text' } },
    tool_choice: 'auto',
    tools: [],
    top_p: 1,
    truncation: 'disabled',
    usage: isComplete ? usage : null,
    user: null,
  };
}

const event = (type: string, sequenceNumber: number, fields: object): StreamEvent => ({
  name: type,
  data: { type, sequence_number: sequenceNumber, ...fields },
});

const events = (first: number, all: readonly (readonly [type: string, fields: object])[]): StreamEvent[] =>
  all.map(([type, fields], index) => event(type, first + index, fields));

function stream(request: AnswerRequest): Stream {
  const item = { output_index: 0 };
  const part = { item_id: `msg_${request.id}`, output_index: 0, content_index: 0 };
  const opening = events(0, [
    ['response.created', { response: responseOf(request, 'in_progress') }],
    ['response.in_progress', { response: responseOf(request, 'in_progress') }],
    ['response.output_item.added', { ...item, item: itemOf(request.id, 'in_progress') }],
    ['response.content_part.added', { ...part, part: textPart('') }],
  ]);
  const afterPieces = opening.length + answerPieces.length;
  return {
    framing: 'server-sent-events',
    opening,
    piece: (delta, index) =>
      event('response.output_text.delta', opening.length + index, { ...part, delta, logprobs: [] }),
    ending: events(afterPieces, [
      ['response.output_text.done', { ...part, text: answerText, logprobs: [] }],
      ['response.content_part.done', { ...part, part: textPart(answerText) }],
      ['response.output_item.done', { ...item, item: itemOf(request.id, 'completed') }],
      ['response.completed', { response: responseOf(request, 'completed') }],
    ]),
    overloaded: events(afterPieces, [
      ['error', { code: 'server_error', message: openAiOverloadText, param: null }],
      ['response.failed', { response: responseOf(request, 'failed') }],
    ]),
  };
}

export const openAiResponses: Format = {
  name: 'openai-responses',
  kind: ({ method, path }) => (method === 'POST' && path === '/v1/responses' ? 'answer' : null),
  read: readOpenAi,
  stream,
  whole: (request) => responseOf(request, 'completed'),
  overloaded: (request) => responseOf(request, 'failed'),
  error: openAiError,
  spent: openAiSpent,
  refusedKey: openAiRefusedKey,
  models: openAiModels,
  tokenCount: null,
};

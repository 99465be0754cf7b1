/** Anthropic's Messages API. */
import { answerText, answerUsage } from '../answer.ts';
import type { AnswerRequest, Format, Stream, StreamEvent } from '../format.ts';

const types: Readonly<Record<number, string>> = {
  400: 'invalid_request_error',
  401: 'authentication_error',
  403: 'permission_error',
  404: 'not_found_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
  529: 'overloaded_error',
};

const errorOf = (status: number, message: string): object => ({
  type: 'error',
  error: { type: types[status] ?? 'api_error', message },
  request_id: 'req_011CSHoEeqs5C35K2UUqR7Fy',
});

const usageOf = (outputTokens: number): object => ({
  input_tokens: answerUsage.inputTokens,
  cache_creation_input_tokens: 0,
  cache_read_input_tokens: 0,
  output_tokens: outputTokens,
});

const messageOf = ({ id, model }: AnswerRequest): object => ({
  id: `msg_${id}`,
  type: 'message',
  role: 'assistant',
  model,
  content: [],
  stop_reason: null,
  stop_sequence: null,
  usage: usageOf(1),
});

const event = (type: string, fields: object = {}): StreamEvent => ({ name: type, data: { type, ...fields } });

const stream = (request: AnswerRequest): Stream => ({
  framing: 'server-sent-events',
  opening: [
    event('message_start', { message: messageOf(request) }),
    event('content_block_start', { index: 0, content_block: { type: 'text', text: '' } }),
    event('ping'),
  ],
  piece: (text) => event('content_block_delta', { index: 0, delta: { type: 'text_delta', text } }),
  ending: [
    event('content_block_stop', { index: 0 }),
    event('message_delta', {
      delta: { stop_reason: 'end_turn', stop_sequence: null },
      usage: { output_tokens: answerUsage.outputTokens },
    }),
    event('message_stop'),
  ],
  overloaded: [{ name: 'error', data: errorOf(529, 'Overloaded') }],
});

export const anthropic: Format = {
  name: 'anthropic',
  kind({ method, path, headers }) {
    if (method === 'POST' && path === '/v1/messages') return 'answer';
    if (method === 'POST' && path === '/v1/messages/count_tokens') return 'token-count';
    const isOwn = headers['anthropic-version'] !== undefined;
    return method === 'GET' && path === '/v1/models' && isOwn ? 'models' : null;
  },
  read: (_line, { model, stream: wantsStream }) => ({ model, stream: wantsStream === true }),
  stream,
  whole: (request) => ({
    ...messageOf(request),
    content: [{ type: 'text', text: answerText }],
    stop_reason: 'end_turn',
    usage: usageOf(answerUsage.outputTokens),
  }),
  overloaded: () => errorOf(529, 'Overloaded'),
  error: errorOf,
  spent: {
    status: 400,
    body: errorOf(
      400,
      'Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits.',
    ),
  },
  refusedKey: { status: 401, body: errorOf(401, 'invalid x-api-key') },
  models: (names) => ({
    data: names.map((id) => ({ type: 'model', id, display_name: id, created_at: '2025-02-19T00:00:00Z' })),
    has_more: false,
    first_id: names[0] ?? null,
    last_id: names.at(-1) ?? null,
  }),
  tokenCount: { input_tokens: answerUsage.inputTokens },
};

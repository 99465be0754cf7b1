/** Ollama's chat API. */
import { answerText, answerUsage } from '../answer.ts';
import type { AnswerRequest, Format, Stream } from '../format.ts';

const errorOf = (message: string): object => ({ error: message });

const overloaded = errorOf('server busy, please try again.  maximum pending requests exceeded');

const line = ({ model, now }: AnswerRequest, content: string, done: boolean): object => ({
  model,
  created_at: now.toISOString(),
  message: { role: 'assistant', content },
  done,
});

/** Returns the last line of a stream. An unstreamed answer has the same form. Durations are in nanoseconds. */
const lastLine = (request: AnswerRequest, content: string): object => ({
  ...line(request, content, true),
  done_reason: 'stop',
  total_duration: 4_883_583_458,
  load_duration: 1_334_875,
  prompt_eval_count: answerUsage.inputTokens,
  prompt_eval_duration: 342_546_000,
  eval_count: answerUsage.outputTokens,
  eval_duration: 4_535_599_000,
});

const stream = (request: AnswerRequest): Stream => ({
  framing: 'json-lines',
  opening: [],
  piece: (text) => ({ data: line(request, text, false) }),
  ending: [{ data: lastLine(request, '') }],
  overloaded: [{ data: overloaded }],
});

export const ollama: Format = {
  name: 'ollama',
  kind({ method, path }) {
    if (method === 'POST' && path === '/api/chat') return 'answer';
    return method === 'GET' && path === '/api/tags' ? 'models' : null;
  },
  read: (_line, { model, stream: wantsStream }) => ({ model, stream: wantsStream !== false }),
  stream,
  whole: (request) => lastLine(request, answerText),
  overloaded: () => overloaded,
  error: (_status, message) => errorOf(message),
  spent: { status: 402, body: errorOf('this account has insufficient credits') },
  refusedKey: { status: 401, body: errorOf('unauthorized') },
  models: (names) => ({
    models: names.map((name) => ({
      name,
      model: name,
      modified_at: '2025-05-04T17:37:44.706015396-07:00',
      size: 3_826_793_677,
      digest: 'f2a6a4d8e1c4',
      details: {
        parent_model: '',
        format: 'gguf',
        family: 'llama',
        families: ['llama'],
        parameter_size: '7B',
        quantization_level: 'Q4_0',
      },
    })),
  }),
  tokenCount: null,
};

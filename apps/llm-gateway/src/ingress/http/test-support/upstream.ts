import type { ServerResponse } from 'node:http';
import { sse } from '../../../test-support/model-server.ts';
import type { ServedRequest } from '../../../test-support/model-server.ts';

export const chunk = (delta: object, finishReason: string | null = null, rest: object = {}) => ({
  id: 'chatcmpl-1',
  object: 'chat.completion.chunk',
  created: 1_760_000_000,
  model: 'acme-1-2026',
  choices: [{ index: 0, delta, finish_reason: finishReason }],
  ...rest,
});

const usage = { prompt_tokens: 11, completion_tokens: 3, total_tokens: 14 };
const usageChunk = { ...chunk({}), choices: [], usage };

const callPiece = (index: number, text: string, begin: object = {}) =>
  chunk({ tool_calls: [{ index, ...begin, function: { ...begin, arguments: text } }] });

/** Two tool calls whose pieces interleave. The second has no arguments. */
export const toolStream: (object | string)[] = [
  chunk({ role: 'assistant', content: 'I look.' }),
  callPiece(0, '{"path":', { id: 'c0', type: 'function', name: 'read' }),
  callPiece(1, '', { id: 'c1', type: 'function', name: 'list' }),
  callPiece(0, '"a.txt"}'),
  chunk({}, 'tool_calls'),
  usageChunk,
  '[DONE]',
];

export const wholeCompletion = (message: object, finishReason = 'stop') => ({
  id: 'chatcmpl-1',
  object: 'chat.completion',
  created: 1_760_000_000,
  model: 'acme-1-2026',
  system_fingerprint: 'fp_unknown_to_the_gateway',
  choices: [{ index: 0, message: { role: 'assistant', ...message }, finish_reason: finishReason }],
  usage,
});

export const wholeToolCompletion = wholeCompletion(
  {
    content: 'I look.',
    tool_calls: [
      { id: 'c0', type: 'function', function: { name: 'read', arguments: '{"path":"a.txt"}' } },
      { id: 'c1', type: 'function', function: { name: 'list', arguments: '{}' } },
    ],
  },
  'tool_calls',
);

export const playEither =
  (events: readonly (object | string)[], whole: object) =>
  (response: ServerResponse, { body }: ServedRequest): void => {
    const stream = (body as { stream?: boolean }).stream === true;
    response.writeHead(200, { 'content-type': stream ? 'text/event-stream' : 'application/json' });
    response.end(stream ? sse(events) : JSON.stringify(whole));
  };

/** Begins an answer, then sends nothing more. The connection stays open. */
export const playBeginning =
  (text: string) =>
  (response: ServerResponse): void => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(sse([chunk({ role: 'assistant', content: text })]));
  };

/** Begins an answer, then closes the connection. */
export const playCut =
  (text: string) =>
  (response: ServerResponse): void => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(sse([chunk({ role: 'assistant', content: text })]), () => response.destroy());
  };

import type { TranslatedDelta } from '../../../provider/port.ts';
import type { Question } from '../endpoint.ts';
import { FrameEncoder } from '../framing.ts';

export const about = { id: 'a1', model: 'acme/one', nowMs: 1_760_000_000_000 };

/** Thinking with a signature, a text, and two tool calls whose pieces interleave. */
export const richAnswer: readonly TranslatedDelta[] = [
  { type: 'response-start', responseModel: 'one-2026', responseId: 'r1' },
  { type: 'thinking-delta', block: 0, text: 'Let me ' },
  { type: 'thinking-delta', block: 0, text: 'see.', signature: { wire: 'gemini', value: 'c2ln' } },
  { type: 'text-delta', text: 'I ' },
  { type: 'text-delta', text: 'look.' },
  { type: 'tool-call-delta', call: 0, id: 'c0', name: 'read', arguments: '{"path":' },
  { type: 'tool-call-delta', call: 1, id: 'c1', name: 'list', arguments: '' },
  { type: 'tool-call-delta', call: 0, arguments: '"a.txt"}' },
  { type: 'usage', usage: { inputTokens: 100, outputTokens: 20, cachedInputTokens: 60, reasoningTokens: 8 } },
  { type: 'response-end', finishReason: 'tool-calls' },
];

export const textAnswer = (text: string): TranslatedDelta[] => [
  { type: 'response-start', responseModel: 'one-2026' },
  { type: 'text-delta', text },
  { type: 'usage', usage: { inputTokens: 11, outputTokens: 3 } },
  { type: 'response-end', finishReason: 'stop' },
];

/** Returns the parsed data of each event of the stream. */
export function eventsOf(question: Question, deltas: readonly TranslatedDelta[]): unknown[] {
  const writer = question.writer(about);
  const frames = [...deltas.flatMap((delta) => writer.delta(delta)), ...writer.end()];
  return frames.map(({ data }) => (data === '[DONE]' ? data : (JSON.parse(data) as unknown)));
}

export function streamOf(question: Question, deltas: readonly TranslatedDelta[]): string {
  const writer = question.writer(about);
  const encoder = new FrameEncoder(question.framing);
  const pieces = deltas.map((delta) => encoder.encode(writer.delta(delta)));
  return `${pieces.join('')}${encoder.encode(writer.end())}${encoder.close()}`;
}

export function wholeOf(question: Question, deltas: readonly TranslatedDelta[]): unknown {
  const writer = question.writer(about);
  for (const delta of deltas) writer.delta(delta);
  return writer.whole();
}

export const requestParts = (path = '', query = '') => ({
  path,
  query: new URLSearchParams(query),
  headers: {},
  bytes: 0,
});

import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Answer } from '@coppice/bus';
import { chatMessageSchema } from '@coppice/contracts';
import type { ChatMessage } from '@coppice/contracts';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { busEndpointLimits } from './limits.ts';
import { AnswerStream } from './answer-stream.ts';
import type { OutputDelta } from '../../provider/port.ts';

/** Creates a fake of the bus library's `Answer` that records the messages and checks their sizes. */
function listener(bytesMax: number, flushed: () => Promise<void> = async () => {}) {
  const sent: ChatMessage[] = [];
  const answer: Pick<Answer, 'send' | 'flushed' | 'bytesMax'> = {
    bytesMax,
    flushed,
    send: (body) => {
      const text = JSON.stringify(body);
      const bytes = Buffer.byteLength(text);
      expect(bytes).toBeLessThanOrEqual(bytesMax);
      sent.push(chatMessageSchema.parse(JSON.parse(text)));
      return bytes;
    },
  };
  return { answer, sent };
}
const around = 300;
const limits = { ...busEndpointLimits, aroundPieceBytesMax: around };
const signal = new AbortController().signal;
const signature = { wire: 'anthropic', value: 's'.repeat(40) };

const joined = (sent: readonly ChatMessage[]): string =>
  sent.map((message) => ('text' in message ? message.text : 'arguments' in message ? message.arguments : '')).join('');

test('messages are numbered from 0 without gaps, whatever is sent', async () => {
  const { answer, sent } = listener(1_000);
  const stream = new AnswerStream(answer, { limits, signal });
  stream.send({ type: 'waiting' });
  await stream.sendDelta({ type: 'text-delta', text: 'a'.repeat(5_000) });
  await stream.sendDelta({ type: 'text-delta', text: 'b' });
  sent.push(stream.numbered({ type: 'waiting' }));
  expect(sent.map(({ sequence }) => sequence)).toEqual([...sent.keys()]);
  expect(sent.length).toBeGreaterThan(10);
});

test('each piece of any text fits in a message, and the pieces together are the text', async () => {
  const text = fc.string({ unit: fc.constantFrom('a', '\0', '"', 'é', '木', '🌳'), maxLength: 400 });
  await fc.assert(
    fc.asyncProperty(text, fc.constantFrom('text-delta', 'thinking-delta', 'tool-call-delta'), async (value, type) => {
      const { answer, sent } = listener(around + 200);
      const stream = new AnswerStream(answer, { limits, signal });
      const deltas = {
        'text-delta': { type: 'text-delta', text: value, signature },
        'thinking-delta': { type: 'thinking-delta', block: 1, text: value, signature },
        'tool-call-delta': { type: 'tool-call-delta', call: 0, id: 'c', name: 'n', arguments: value, signature },
      } as const satisfies Record<string, OutputDelta>;
      await stream.sendDelta(deltas[type]);
      expect(joined(sent)).toBe(value);
      for (const message of sent) expect(joined([message]).isWellFormed()).toBe(true);
      const signatures = sent.flatMap((message) => ('signature' in message ? [message.signature] : []));
      expect(signatures).toEqual([signature]);
    }),
  );
});

test('sending pauses at the limit until the server has received everything', async () => {
  const taken = Promise.withResolvers<void>();
  const { answer, sent } = listener(10_000, () => taken.promise);
  const stream = new AnswerStream(answer, { limits: { ...limits, unflushedBytesMax: 400 }, signal });
  const sending = (async () => {
    for (let count = 0; count < 20; count++) await stream.sendDelta({ type: 'text-delta', text: 'x'.repeat(200) });
  })();
  await nextTurn();
  expect(sent).toHaveLength(2);
  taken.resolve();
  await sending;
  expect(sent).toHaveLength(20);
});

test('a chat that is aborted does not wait for the server', async () => {
  const ending = new AbortController();
  const { answer } = listener(10_000, () => new Promise(() => {}));
  const stream = new AnswerStream(answer, { limits: { ...limits, unflushedBytesMax: 1 }, signal: ending.signal });
  const sending = stream.sendDelta({ type: 'text-delta', text: 'x' });
  ending.abort(new Error('over'));
  await expect(sending).rejects.toThrow('over');
});

test('a lost connection ends the answer', async () => {
  const { answer } = listener(10_000, () => Promise.reject(new Error('disconnected')));
  const stream = new AnswerStream(answer, { limits: { ...limits, unflushedBytesMax: 1 }, signal });
  await expect(stream.sendDelta({ type: 'text-delta', text: 'x' })).rejects.toMatchObject({ code: 'unavailable' });
});

test('a silence is reported once per check', () => {
  const { answer, sent } = listener(10_000);
  const stream = new AnswerStream(answer, { limits, signal });
  stream.send({ type: 'started', chatId: `c${'0'.repeat(32)}` });
  stream.sendIfSilent();
  expect(sent).toHaveLength(1);
  stream.sendIfSilent();
  stream.sendIfSilent();
  expect(sent.slice(1)).toEqual([
    { sequence: 1, type: 'waiting' },
    { sequence: 2, type: 'waiting' },
  ]);
});

import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Answer } from '@coppice/bus';
import { chatMessageSchema } from '@coppice/contracts';
import type { ChatMessage } from '@coppice/contracts';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { busEndpointLimits } from './limits.ts';
import { Teller } from './answer-stream.ts';
import type { OutputDelta } from '../../provider/port.ts';

/** Records messages, none of which may exceed `bytesMax`. */
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

test('messages are numbered from 0 without a gap, whatever is told', async () => {
  const { answer, sent } = listener(1_000);
  const teller = new Teller(answer, { limits, signal });
  teller.tell({ type: 'waiting' });
  await teller.tellDelta({ type: 'text-delta', text: 'a'.repeat(5_000) });
  await teller.tellDelta({ type: 'text-delta', text: 'b' });
  sent.push(teller.numbered({ type: 'waiting' }));
  expect(sent.map(({ sequence }) => sequence)).toEqual([...sent.keys()]);
  expect(sent.length).toBeGreaterThan(10);
});

test('a piece of any text fits its message, and together they are the text', async () => {
  const text = fc.string({ unit: fc.constantFrom('a', '\0', '"', 'é', '木', '🌳'), maxLength: 400 });
  await fc.assert(
    fc.asyncProperty(text, fc.constantFrom('text-delta', 'thinking-delta', 'tool-call-delta'), async (value, type) => {
      const { answer, sent } = listener(around + 200);
      const teller = new Teller(answer, { limits, signal });
      const deltas = {
        'text-delta': { type: 'text-delta', text: value, signature },
        'thinking-delta': { type: 'thinking-delta', block: 1, text: value, signature },
        'tool-call-delta': { type: 'tool-call-delta', call: 0, id: 'c', name: 'n', arguments: value, signature },
      } as const satisfies Record<string, OutputDelta>;
      await teller.tellDelta(deltas[type]);
      expect(joined(sent)).toBe(value);
      for (const message of sent) expect(joined([message]).isWellFormed()).toBe(true);
      const signatures = sent.flatMap((message) => ('signature' in message ? [message.signature] : []));
      expect(signatures).toEqual([signature]);
    }),
  );
});

test('no more is told than the limit before the server has taken what was', async () => {
  const taken = Promise.withResolvers<void>();
  const { answer, sent } = listener(10_000, () => taken.promise);
  const teller = new Teller(answer, { limits: { ...limits, unflushedBytesMax: 400 }, signal });
  const telling = (async () => {
    for (let count = 0; count < 20; count++) await teller.tellDelta({ type: 'text-delta', text: 'x'.repeat(200) });
  })();
  await nextTurn();
  expect(sent).toHaveLength(2);
  taken.resolve();
  await telling;
  expect(sent).toHaveLength(20);
});

test('a chat that ends does not wait for the server', async () => {
  const ending = new AbortController();
  const { answer } = listener(10_000, () => new Promise(() => {}));
  const teller = new Teller(answer, { limits: { ...limits, unflushedBytesMax: 1 }, signal: ending.signal });
  const telling = teller.tellDelta({ type: 'text-delta', text: 'x' });
  ending.abort(new Error('over'));
  await expect(telling).rejects.toThrow('over');
});

test('where the connection was lost, the answer is over', async () => {
  const { answer } = listener(10_000, () => Promise.reject(new Error('disconnected')));
  const teller = new Teller(answer, { limits: { ...limits, unflushedBytesMax: 1 }, signal });
  await expect(teller.tellDelta({ type: 'text-delta', text: 'x' })).rejects.toMatchObject({ code: 'unavailable' });
});

test('a silence is told, once for each look', () => {
  const { answer, sent } = listener(10_000);
  const teller = new Teller(answer, { limits, signal });
  teller.tell({ type: 'started', chatId: `c${'0'.repeat(32)}` });
  teller.tellIfSilent();
  expect(sent).toHaveLength(1);
  teller.tellIfSilent();
  teller.tellIfSilent();
  expect(sent.slice(1)).toEqual([
    { sequence: 1, type: 'waiting' },
    { sequence: 2, type: 'waiting' },
  ]);
});

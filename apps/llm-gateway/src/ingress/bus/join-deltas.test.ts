import fc from 'fast-check';
import { expect, test } from 'vitest';
import { collect } from '../../collect.ts';
import type { ModelDelta } from '../../provider/port.ts';
import { end, says, text } from '../../test-support/says.ts';
import { joined } from './join-deltas.ts';

const signature = { wire: 'anthropic' as const, value: 'signed' };
const signedText = (value: string): ModelDelta => ({ type: 'text-delta', text: value, signature });
const piece = (value: string, rest: object = {}): ModelDelta => ({
  type: 'tool-call-delta',
  call: 0,
  arguments: value,
  ...rest,
});
const thought = (value: string, rest: object = {}): ModelDelta => ({
  type: 'thinking-delta',
  block: 0,
  text: value,
  ...rest,
});

test('consecutive deltas of one part are joined', () => {
  expect(joined([text('a'), text('b'), text('c')])).toEqual([text('abc')]);
  expect(joined([thought('a'), thought('b')])).toEqual([thought('ab')]);
  expect(joined([piece('', { id: 'c1', name: 'read' }), piece('{"a'), piece('":1}')])).toEqual([
    piece('{"a":1}', { id: 'c1', name: 'read' }),
  ]);
});

test('a delta of another part, one with a signature, and one that begins a tool call stay separate', () => {
  for (const apart of [
    [text('a'), thought('b'), text('c')],
    [text('a'), signedText('b'), text('c')],
    [thought('a'), thought('b', { block: 1 }), thought('', { block: 1, redacted: true })],
    [piece('{}'), piece('{}', { call: 1 }), piece('{}', { call: 0, id: 'c1' })],
  ] as ModelDelta[][])
    expect(joined(apart)).toEqual(apart);
});

test('joining any deltas does not change the answer', async () => {
  const some = fc.constantFrom<ModelDelta>(
    text('a'),
    signedText('b'),
    thought('c'),
    thought('d', { block: 1 }),
    thought('', { redacted: true, signature }),
    piece('e', { name: 'read' }),
    piece('f'),
    piece('g', { call: 1, id: 'c2', name: 'write' }),
    { type: 'usage', usage: { inputTokens: 3 } },
  );
  const answerOf = (deltas: readonly ModelDelta[]) =>
    collect(says(...deltas, end), { provider: 'acme', effectId: 'e', textBytesMax: 1_000 });
  await fc.assert(
    fc.asyncProperty(fc.array(some, { maxLength: 12 }), async (deltas) => {
      expect(await answerOf(joined(deltas))).toEqual(await answerOf(deltas));
    }),
    { numRuns: 200 },
  );
});

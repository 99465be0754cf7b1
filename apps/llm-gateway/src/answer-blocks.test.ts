import { expect, test } from 'vitest';
import { gatewayLimits } from './limits.ts';
import { AnswerBlocks } from './answer-blocks.ts';
import type { TranslatedDelta } from './provider/port.ts';

const mebibyte = 'x'.repeat(1024 * 1024);
const longId = 'x'.repeat(gatewayLimits.answerIdCharactersMax + 1);
const longName = 'x'.repeat(gatewayLimits.answerNameCharactersMax + 1);
const call = (number: number, rest: { id?: string; name?: string }): TranslatedDelta => ({
  type: 'tool-call-delta',
  call: number,
  arguments: '',
  ...rest,
});

test.each<[string, number, (index: number) => TranslatedDelta]>([
  [
    'hidden thoughts, which are a signature alone',
    17,
    (block) => ({
      type: 'thinking-delta',
      block,
      text: '',
      redacted: true,
      signature: { wire: 'anthropic', value: mebibyte },
    }),
  ],
  ['thoughts of nothing', gatewayLimits.answerPartsMax + 1, (block) => ({ type: 'thinking-delta', block, text: '' })],
  ['calls', gatewayLimits.toolCallsMax + 1, (number) => call(number, {})],
  ['an id', 1, () => call(0, { id: longId })],
  ['a name', 1, () => call(0, { name: longName })],
])('%s without end are not kept in memory', (_, count, delta) => {
  const answer = new AnswerBlocks({ seed: 'seed' });
  for (let index = 0; index < count - 1; index++) answer.add(delta(index));
  expect(() => answer.add(delta(count - 1))).toThrow(expect.objectContaining({ code: 'limit-exceeded' }));
});

test('an id may contain a signature', () => {
  const answer = new AnswerBlocks({ seed: 'seed' });
  const id = longId.slice(1);
  answer.add(call(0, { id }));
  expect(answer.calls).toMatchObject([{ id }]);
});

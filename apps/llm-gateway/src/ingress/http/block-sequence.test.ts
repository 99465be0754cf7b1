import fc from 'fast-check';
import { expect, test } from 'vitest';
import { AnswerBlocks, textOf } from '../../answer-blocks.ts';
import { BlockSequence } from './block-sequence.ts';
import type { BlockStep } from './block-sequence.ts';
import type { TranslatedDelta } from '../../provider/port.ts';
import { richAnswer } from './test-support/answers.ts';

function stepsOf(deltas: readonly TranslatedDelta[]): BlockStep[] {
  const answer = new AnswerBlocks({ seed: 'seed' });
  const sequence = new BlockSequence(answer);
  const steps = deltas.flatMap((delta) => {
    answer.add(delta);
    return sequence.next();
  });
  return [...steps, ...sequence.end()];
}

const stepText = (step: BlockStep): string =>
  `${step.type} ${step.index}${step.type === 'piece' ? ` ${step.text}` : ''}`;

test('a block ends before the next begins, and blocks after a tool call are held back', () => {
  expect(stepsOf(richAnswer).map(stepText)).toEqual([
    'open 0',
    'piece 0 Let me ',
    'piece 0 see.',
    'close 0',
    'open 1',
    'piece 1 I ',
    'piece 1 look.',
    'close 1',
    'open 2',
    'piece 2 {"path":',
    'piece 2 "a.txt"}',
    'close 2',
    'open 3',
    'piece 3 {}',
    'close 3',
  ]);
});

test('a call without an id is written at the end, with a generated one', () => {
  const steps = stepsOf([
    { type: 'tool-call-delta', call: 0, name: 'list', arguments: '{}' },
    { type: 'tool-call-delta', call: 1, name: 'list', arguments: '{}' },
    { type: 'response-end', finishReason: 'stop' },
  ]);
  const ids = steps.flatMap((step) => (step.type === 'close' ? [step.block.id] : []));
  expect(ids).toEqual([expect.stringMatching(/^[a-z0-9]{9}$/), expect.stringMatching(/^[a-z0-9]{9}$/)]);
  expect(new Set(ids).size).toBe(2);
});

const deltas = fc.array(
  fc.oneof(
    fc.record({ type: fc.constant('text-delta' as const), text: fc.string() }),
    fc.record({ type: fc.constant('thinking-delta' as const), block: fc.nat(2), text: fc.string() }),
    fc.record({
      type: fc.constant('tool-call-delta' as const),
      call: fc.nat(2),
      id: fc.constantFrom('x', 'y', 'z'),
      name: fc.constant('tool'),
      arguments: fc.string(),
    }),
  ),
);

test('every piece is written once, in blocks that never overlap', () => {
  fc.assert(
    fc.property(deltas, (answer) => {
      const steps = stepsOf([...answer, { type: 'response-end', finishReason: 'stop' }]);
      const order = steps.filter(({ type }) => type !== 'piece').map(({ type, index }) => `${type} ${index}`);
      const blocks = steps.filter(({ type }) => type === 'close').length;
      expect(order).toEqual(Array.from({ length: blocks }, (_, index) => [`open ${index}`, `close ${index}`]).flat());
      const outside = steps.filter((step, at) => step.type === 'piece' && steps[at - 1]?.index !== step.index);
      expect(outside).toEqual([]);
      const pieces = (index: number) =>
        steps.flatMap((step) => (step.type === 'piece' && step.index === index ? [step.text] : [])).join('');
      const wrong = steps.filter((step) => step.type === 'close' && pieces(step.index) !== textOf(step.block));
      expect(wrong).toEqual([]);
      const sum = (type: string) =>
        steps
          .flatMap((step) => (step.type === 'close' && step.block.type === type ? [textOf(step.block)] : []))
          .join('');
      const said = answer.flatMap((delta) => (delta.type === 'text-delta' ? [delta.text] : [])).join('');
      expect(sum('text')).toBe(said);
    }),
  );
});

import type { TurnOutput } from '@coppice/contracts';
import { expect, test } from 'vitest';
import { describeTurn } from './describe-calls.ts';

const output: TurnOutput = {
  turnId: 'task_t1_1_1',
  text: { text: 'I\n look.' },
  toolCalls: [{ id: 'c0', name: 'read', arguments: { text: '{"path":"a.txt"}' } }],
  finishReason: 'tool-calls',
  usage: { inputTokens: 7, outputTokens: 3, costUsd: 0 },
  responseModel: 'one',
  latencyMs: 5,
};
const described = { turnId: 'task_t1_1_1', text: 'I look.', calls: [{ name: 'read', about: 'a.txt' }] };

test('describes a turn briefly, and shows if its answer is from the cache', () => {
  expect(describeTurn({ ...output, attempts: 1 })).toEqual(described);
  expect(describeTurn({ ...output, cached: true })).toEqual({ ...described, cached: true });
});

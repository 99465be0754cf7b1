import { expect, test } from 'vitest';
import { failureOf, isEffectFailed } from './index.ts';

const failed = {
  type: 'xstate.error.actor.prepare',
  error: { code: 'git-failed', message: 'no', retryable: true },
  actorId: 'prepare',
  effectId: 'job_a_1',
};

test("failureOf returns an effect's failure, with the effect's id", () => {
  expect(isEffectFailed(failed)).toBe(true);
  expect(failureOf(failed)).toMatchObject({ error: { code: 'git-failed', retryable: true }, effectId: 'job_a_1' });
});

test('failureOf throws for any other event and names it', () => {
  for (const type of ['start', 'xstate.done.actor.prepare', 'xstate.error.execution']) {
    expect(isEffectFailed({ type })).toBe(false);
    expect(() => failureOf({ type })).toThrow(`${type} reports no failure of an effect`);
  }
});

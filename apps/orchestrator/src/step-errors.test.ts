import { CoppiceError } from '@coppice/contracts';
import type { ErrorCode } from '@coppice/contracts';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { startOrchestratorAlone } from './test-support/orchestrator-alone.ts';
import type { OrchestratorAlone } from './test-support/orchestrator-alone.ts';
import type { OperationName } from './test-support/stand-ins.ts';

/** Tests how a task ends if one of its commands fails. */
let alone: OrchestratorAlone;
beforeAll(async () => {
  alone = await startOrchestratorAlone();
}, 30_000);
afterEach(() => alone.services.reset());
afterAll(() => alone?.stop());

/** Fails all commands of this name, or the first `times` of them. */
function fail(name: OperationName, error: CoppiceError, times = Infinity): void {
  let failed = 0;
  alone.services.on(name, (_input, standard) => {
    if (failed++ < times) throw error;
    return standard();
  });
}

async function ended(task: object = {}) {
  const { runId, ids } = await alone.submit([{ name: 'one', ...task }]);
  await alone.ended(runId);
  const taskId = ids['one'] ?? '';
  const names = alone.services.namesOf(taskId);
  return {
    taskId,
    names,
    task: await alone.task(taskId),
    triesOf: (name: string) => names.filter((each) => each === name).length,
  };
}

describe('an error that would come again ends the task at once, with its code and message', () => {
  test.each<[OperationName, ErrorCode]>([
    ['worktree.prepare', 'branch-not-found'],
    ['sandbox.create', 'image-not-found'],
    ['model.turn', 'model-not-found'],
    ['sandbox.write', 'sandbox-not-found'],
    ['worktree.commit', 'import-refused'],
    ['worktree.prepareMerge', 'limit-exceeded'],
    ['sandbox.run', 'engine-unavailable'],
    ['worktree.land', 'landing-refused'],
  ])('%s: %s', async (name, code) => {
    fail(name, new CoppiceError(code, `no: ${code}`));
    const { task, names, triesOf } = await ended();
    expect(task).toMatchObject({ state: 'failed', reason: `no: ${code}`, failure: { code, retryable: false } });
    expect(triesOf(name)).toBe(1);
    expect(names.at(-1)).toBe('worktree.remove');
    expect(triesOf('sandbox.remove')).toBe(name === 'worktree.prepare' ? 0 : 1);
  });
});

describe('an error that may pass', () => {
  test.each<[OperationName, ErrorCode]>([
    ['worktree.prepare', 'git-contention'],
    ['sandbox.create', 'sandbox-failed'],
    ['model.turn', 'provider-limited'],
    ['sandbox.write', 'unavailable'],
    ['worktree.commit', 'disk-full'],
    ['worktree.prepareMerge', 'git-failed'],
    ['worktree.land', 'deadline-exceeded'],
    ['worktree.remove', 'git-failed'],
  ])('of %s is retried, and leaves no trace in the result', async (name, code) => {
    fail(name, new CoppiceError(code, 'not now'), 2);
    const { task, triesOf } = await ended();
    expect(task).toMatchObject({ state: 'merged', reason: null, failure: null });
    expect(triesOf(name)).toBe(3);
  });

  test('that doesn’t pass ends the task after four tries', async () => {
    fail('worktree.commit', new CoppiceError('git-failed', 'the store is locked'));
    const { task, triesOf } = await ended();
    expect(task).toMatchObject({ state: 'failed', reason: 'the store is locked', failure: { code: 'git-failed' } });
    expect(triesOf('worktree.commit')).toBe(4);
  });

  test('of a landing slot’s holder lets the next task land', async () => {
    fail('worktree.land', new CoppiceError('landing-refused', 'protected branch'), 1);
    const { runId } = await alone.submit([{ name: 'a' }, { name: 'b' }]);
    const ends = (await alone.ended(runId)).tasks.map(({ state }) => state);
    expect(ends.toSorted()).toEqual(['failed', 'merged']);
  });
});

describe('a defect of a service', () => {
  test('is an internal error, and is retried', async () => {
    let failed = 0;
    alone.services.on('worktree.prepare', (_input, standard) => {
      if (failed++ === 0) throw new TypeError('undefined is not a function');
      return standard();
    });
    expect((await ended()).task.state).toBe('merged');
    expect(failed).toBe(2);
  });

  test('that answers with something else than its schema says fails the task with the field', async () => {
    alone.services.on('worktree.prepare', () => ({ node: 'node1', branch: 'b', baseCommit: 7, mounts: [] }) as never);
    const { task } = await ended();
    expect(task.state).toBe('failed');
    expect(task.reason).toContain('baseCommit');
  });
});

describe('an outcome that is unknown', () => {
  test('of a verification is verified again, with a new merge and a new sandbox', async () => {
    fail('sandbox.run', new CoppiceError('unknown', 'lost'), 1);
    const { taskId, task, triesOf } = await ended();
    expect(task.state).toBe('merged');
    expect(triesOf('worktree.prepareMerge')).toBe(2);
    const sandboxes = alone.services
      .inputsOf(taskId, 'sandbox.run')
      .map(({ specification }) => specification.sandboxId);
    expect(sandboxes).toEqual([`${taskId}-verify-1`, `${taskId}-verify-2`]);
  });

  test('of a model call is counted, and the next call names the lost one', async () => {
    fail('model.turn', new CoppiceError('unknown', 'the gateway was lost'), 1);
    const { taskId, task } = await ended();
    expect(task).toMatchObject({ state: 'merged', modelTurns: 1, modelTurnsUnknown: 1 });
    const [lost] = alone.services.commands.flatMap(({ name, owner, effectId }) =>
      name === 'model.turn' && owner.taskId === taskId ? [effectId] : [],
    );
    expect(alone.services.inputsOf(taskId, 'model.turn').map(({ lostTurns }) => lostTurns)).toEqual([[], [lost]]);
  });

  test('of six model calls in a row ends the task', async () => {
    fail('model.turn', new CoppiceError('unknown', 'the gateway was lost'));
    const { task, triesOf } = await ended();
    expect(task).toMatchObject({ state: 'failed', reason: 'the gateway was lost', failure: { code: 'unknown' } });
    expect(triesOf('model.turn')).toBe(6);
  });
});

describe('a failed model call', () => {
  test('that cost something is part of the task’s usage', async () => {
    const usage = { inputTokens: 100, outputTokens: 0, costUsd: 2 };
    fail('model.turn', new CoppiceError('provider-failed', 'no', { retryable: true, details: { usage } }), 1);
    const { task } = await ended();
    expect(task).toMatchObject({ state: 'merged', usage: { inputTokens: 110, outputTokens: 5, costUsd: 2.5 } });
  });

  test('is named when the agent’s time is over', async () => {
    const never = Promise.withResolvers<never>();
    let failed = 0;
    alone.services.on('model.turn', (_input, _standard, { signal }) => {
      if (failed++ === 0) throw new CoppiceError('provider-limited', 'acme answered 429');
      signal.addEventListener('abort', () => never.reject(new CoppiceError('cancelled', 'stopped')));
      return never.promise;
    });
    const { task, names } = await ended({ limits: { time: '1s' } });
    expect(task).toMatchObject({
      state: 'timed-out',
      reason: 'the agent took longer than 1 s; the last failure: acme answered 429',
    });
    expect(names.slice(-2)).toEqual(['sandbox.remove', 'worktree.remove']);
  });
});

describe('what can’t be removed', () => {
  test('is named, and the task’s end stays', async () => {
    fail('worktree.remove', new CoppiceError('git-failed', 'busy', { retryable: false }));
    const { task } = await ended();
    expect(task).toMatchObject({ state: 'merged', reason: 'its worktree could not be removed: busy' });
  });

  test('a sandbox that may still run keeps the worktree from being read', async () => {
    fail('sandbox.remove', new CoppiceError('engine-unavailable', 'the engine is gone'));
    const { task, triesOf } = await ended();
    expect(task.state).toBe('failed');
    expect(task.reason).toContain('the engine is gone');
    expect([triesOf('worktree.commit'), triesOf('worktree.remove')]).toEqual([0, 0]);
  });
});

import { CoppiceError, api } from '@coppice/contracts';
import type { Method } from '@coppice/contracts';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { startOrchestratorAlone } from './test-support/orchestrator-alone.ts';
import type { OrchestratorAlone } from './test-support/orchestrator-alone.ts';

/** Tests the public API over the bus, as a client uses it. */
let alone: OrchestratorAlone;
beforeAll(async () => {
  alone = await startOrchestratorAlone();
}, 30_000);
afterEach(() => alone.services.reset());
afterAll(() => alone?.stop());

const target = { tenant: 'acme' };
const missingRun = `r${'a'.repeat(16)}`;
const missingTask = `t${'a'.repeat(16)}`;
const containing = (text: string) => expect.stringContaining(text) as string;
async function submitOne(task: object = {}, changes: object = {}) {
  const { runId, ids } = await alone.submit([{ name: 'one', ...task }], changes);
  return { runId, taskId: ids['one'] ?? '' };
}
async function mergedOne() {
  const submitted = await submitOne();
  await alone.ended(submitted.runId);
  return submitted;
}
const readyOne = async () => {
  const submitted = await submitOne({ merge: 'manual' });
  await alone.reaches(submitted.taskId, 'ready');
  return submitted;
};
const awaitingOne = async () => {
  alone.services.on(
    'worktree.commit',
    async (_input, standard) =>
      ({
        ...(await standard()),
        protectedPaths: ['ci.yml'],
      }) as never,
  );
  const submitted = await submitOne();
  await alone.reaches(submitted.taskId, 'awaiting-approval');
  return submitted;
};

describe('what isn’t there', () => {
  test.each<[string, Method, object]>([
    ['run.get', api.runGet, { runId: missingRun }],
    ['run.cancel', api.runCancel, { runId: missingRun }],
    ['task.list', api.taskList, { runId: missingRun }],
    ['task.get', api.taskGet, { taskId: missingTask }],
    ['task.cancel', api.taskCancel, { taskId: missingTask }],
    ['task.approve', api.taskApprove, { taskId: missingTask }],
    ['task.reject', api.taskReject, { taskId: missingTask }],
    ['task.merge', api.taskMerge, { taskId: missingTask }],
    ['task.discard', api.taskDiscard, { taskId: missingTask }],
    ['task.diff', api.taskDiff, { taskId: missingTask }],
    ['task.bundle', api.taskBundle, { taskId: missingTask }],
  ])('%s answers with not-found and the id', async (_name, method, input) => {
    const error = { code: 'not-found', message: containing('aaaaaaaaaaaaaaaa') };
    await expect(alone.bus.call(method, target, input)).rejects.toMatchObject(error);
  });

  test('for another tenant is the same as what it may not see', async () => {
    const { runId, taskId } = await mergedOne();
    const other = { tenant: 'other' };
    const refused = { code: 'not-found' };
    await expect(alone.bus.call(api.runGet, other, { runId })).rejects.toMatchObject(refused);
    await expect(alone.bus.call(api.taskGet, other, { taskId })).rejects.toMatchObject(refused);
    await expect(alone.bus.call(api.taskDiff, other, { taskId })).rejects.toMatchObject(refused);
    await expect(alone.bus.call(api.taskList, other, { runId })).rejects.toMatchObject(refused);
    expect(await alone.bus.call(api.runList, other, {})).toEqual({ runs: [], more: false });
    expect(await alone.bus.call(api.taskList, other, {})).toEqual({ tasks: [], more: false });
  });
});

describe('a malformed request', () => {
  test.each([
    ['run.get', {}, 'runId', 'nothing'],
    ['run.get', { runId: 'r1' }, 'runId', '"r1"'],
    ['run.list', { limit: 0 }, 'limit', '0'],
    ['run.list', { limit: 501 }, 'limit', '501'],
    ['task.get', { taskId: missingRun }, 'taskId', `"${missingRun}"`],
    ['task.list', { limit: '5' }, 'limit', '"5"'],
    ['task.discard', { taskId: missingTask, keepBranch: 'yes' }, 'keepBranch', '"yes"'],
    ['task.cancel', { taskId: missingTask, reason: 'x'.repeat(501) }, 'reason', 'x'],
    ['task.merge', { taskId: missingTask, force: true }, 'force', 'true'],
  ])('of %s %j is refused for its field, with what came', async (name, input, field, received) => {
    const reply = await alone.bus.request(`coppice.api.acme.${name}`, input, { deadlineMs: 5_000 });
    expect(JSON.parse(new TextDecoder().decode(reply.data))).toMatchObject({
      error: {
        code: 'invalid-request',
        message: containing(`${name}: ${field}: expected`),
        details: { issues: [{ field, expected: expect.any(String) as string, received: containing(received) }] },
      },
    });
  });
});

describe('a run', () => {
  test('at work shows the state of each task as the task knows it', async () => {
    const turn = alone.services.hold('model.turn');
    const { runId } = await alone.submit([{ name: 'a' }, { name: 'b', dependsOn: ['a'] }]);
    await turn.reached;
    const view = await alone.run(runId);
    expect(view).toMatchObject({ runId, tenant: 'acme', baseBranch: 'main', state: 'running', endedAt: null });
    expect(view.tasks.map(({ name, state }) => [name, state])).toEqual([
      ['a', 'working'],
      ['b', 'waiting'],
    ]);
    turn.release();
    expect((await alone.ended(runId)).endedAt).not.toBeNull();
  });

  test('counts what tasks at work have used so far', async () => {
    const write = alone.services.hold('sandbox.write');
    const { runId } = await submitOne();
    await write.reached;
    expect((await alone.run(runId)).usage).toEqual({ inputTokens: 10, outputTokens: 5, costUsd: 0.5 });
    write.release();
    expect((await alone.ended(runId)).usage).toEqual({ inputTokens: 10, outputTokens: 5, costUsd: 0.5 });
  });

  test('is listed with the newest first, up to the limit', async () => {
    const ids = [];
    for (let number = 0; number < 3; number++) ids.unshift((await mergedOne()).runId);
    const { runs, more } = await alone.bus.call(api.runList, target, { limit: 2 });
    expect(runs.map(({ runId }) => runId)).toEqual(ids.slice(0, 2));
    expect(more).toBe(true);
    expect(runs[0]).toMatchObject({ state: 'succeeded', taskCounts: { merged: 1 } });
    expect((await alone.bus.call(api.runList, target, {})).more).toBe(false);
  });
});

describe('tasks', () => {
  test('of a run are listed in its order, up to the limit', async () => {
    const { runId } = await alone.submit([{ name: 'c' }, { name: 'a' }, { name: 'b' }]);
    await alone.ended(runId);
    const list = async (limit: number) => {
      const { tasks, more } = await alone.bus.call(api.taskList, target, { runId, limit });
      return [tasks.map(({ name }) => name).join(' '), more];
    };
    expect(await list(2)).toEqual(['c a', true]);
    expect(await list(3)).toEqual(['c a b', false]);
  });

  test('of the tenant are listed with the newest first', async () => {
    const earlier = await mergedOne();
    const later = await mergedOne();
    const { tasks, more } = await alone.bus.call(api.taskList, target, { limit: 2 });
    expect(tasks.map(({ taskId }) => taskId)).toEqual([later.taskId, earlier.taskId]);
    expect(more).toBe(true);
  });

  test('that one message can’t carry are left off, and the answer says so', async () => {
    const standardOutput = '\u0001'.repeat(4_000);
    alone.services.on('sandbox.run', () => ({
      exitCode: 1,
      signal: null,
      timedOut: false,
      outOfMemory: false,
      standardOutput,
      standardError: '',
      logArtifact: null,
      durationMs: 1,
    }));
    const names = Array.from({ length: 50 }, (_, index) => ({ name: `t${index}` }));
    const { runId } = await alone.submit(names, { concurrency: 50 });
    await alone.ended(runId);
    const { tasks, more } = await alone.bus.call(api.taskList, target, { runId });
    expect(more).toBe(true);
    expect(tasks.length).toBeGreaterThan(20);
    expect(Buffer.byteLength(JSON.stringify(tasks))).toBeLessThan(800 * 1024);
    expect(tasks.map(({ name }) => name)).toEqual(names.slice(0, tasks.length).map(({ name }) => name));
  });
});

describe('a task', () => {
  test('that is cancelled ends with the given reason', async () => {
    const turn = alone.services.hold('model.turn');
    const { runId, taskId } = await submitOne();
    await turn.reached;
    const view = await alone.bus.call(api.taskCancel, target, { taskId, reason: 'not needed' });
    expect(view).toMatchObject({ taskId, state: 'cleaning', reason: 'not needed' });
    expect((await alone.ended(runId)).state).toBe('failed');
    expect(await alone.task(taskId)).toMatchObject({ state: 'cancelled', reason: 'not needed' });
    turn.release();
  });

  test.each([
    ['cancel', api.taskCancel],
    ['approve', api.taskApprove],
    ['reject', api.taskReject],
    ['merge', api.taskMerge],
    ['discard', api.taskDiscard],
  ])('that has ended refuses %s with a reason', async (_verb, method: Method) => {
    const { taskId } = await mergedOne();
    await expect(alone.bus.call(method, target, { taskId })).rejects.toMatchObject({
      code: 'conflict',
      message: containing('the task has ended and can'),
    });
  });

  test('at work refuses what only a waiting one takes, and goes on', async () => {
    const turn = alone.services.hold('model.turn');
    const { runId, taskId } = await submitOne();
    await turn.reached;
    for (const method of [api.taskApprove, api.taskMerge, api.taskDiscard] as Method[]) {
      await expect(alone.bus.call(method, target, { taskId })).rejects.toMatchObject({
        code: 'conflict',
        message: containing('a task that is working can'),
      });
    }
    turn.release();
    expect((await alone.ended(runId)).state).toBe('succeeded');
  });

  test('that changes protected paths waits, without holding a place, and lands when it is approved', async () => {
    alone.services.on('worktree.commit', async (input, standard) => {
      const done = await standard();
      const isFirst = input.message.description === 'Do a';
      return done.status === 'committed' && isFirst ? { ...done, protectedPaths: ['ci.yml'] } : done;
    });
    const { runId, ids } = await alone.submit([{ name: 'a' }, { name: 'b' }], { concurrency: 1 });
    await alone.reaches(ids['b'] ?? '', 'merged');
    const taskId = ids['a'] ?? '';
    expect(await alone.task(taskId)).toMatchObject({
      state: 'awaiting-approval',
      reason: 'changes protected paths: ci.yml',
      protectedPaths: ['ci.yml'],
    });
    expect(alone.services.landed).not.toContain(taskId);
    expect((await alone.bus.call(api.taskApprove, target, { taskId })).state).toBe('landing');
    expect((await alone.ended(runId)).state).toBe('succeeded');
    expect(alone.services.landed).toContain(taskId);
  });

  test('whose change is rejected lands nothing', async () => {
    const { runId, taskId } = await awaitingOne();
    await alone.bus.call(api.taskReject, target, { taskId, reason: 'not this way' });
    expect((await alone.ended(runId)).state).toBe('succeeded');
    expect(await alone.task(taskId)).toMatchObject({ state: 'discarded', reason: 'not this way', landedCommit: null });
    expect(alone.services.landed).not.toContain(taskId);
  });

  test('that is ready lands on request', async () => {
    const { runId, taskId } = await readyOne();
    expect(await alone.task(taskId)).toMatchObject({ reason: 'verified; `coppice merge` lands it' });
    await alone.bus.call(api.taskMerge, target, { taskId });
    await alone.ended(runId);
    expect((await alone.task(taskId)).state).toBe('merged');
  });

  test.each([true, false])('that is discarded keeps its branch only on request: %s', async (keepBranch) => {
    const { runId, taskId } = await readyOne();
    await alone.bus.call(api.taskDiscard, target, { taskId, keepBranch });
    await alone.ended(runId);
    expect((await alone.task(taskId)).state).toBe('discarded');
    expect(alone.services.inputsOf(taskId, 'worktree.remove')).toMatchObject([{ keepBranch }]);
  });

  test('with a merge mode of `branch` is pushed and lands nowhere', async () => {
    const { runId, taskId } = await submitOne({ merge: 'branch' });
    await alone.ended(runId);
    expect(await alone.task(taskId)).toMatchObject({ state: 'branch-pushed', landedCommit: null });
    expect(alone.services.namesOf(taskId)).not.toContain('worktree.land');
    expect(alone.services.inputsOf(taskId, 'worktree.pushBranch')).toMatchObject([{ commit: `commit-${taskId}` }]);
  });
});

describe('a task’s work', () => {
  test('is shown as the patch from its base to its commit', async () => {
    const { taskId } = await mergedOne();
    const commit = `commit-${taskId}`;
    expect(await alone.bus.call(api.taskDiff, target, { taskId })).toEqual({
      patch: `patch of ${commit}`,
      truncated: false,
      commit,
      baseCommit: 'base',
    });
  });

  test('has no patch before there is a commit', async () => {
    const turn = alone.services.hold('model.turn');
    const { runId, taskId } = await submitOne();
    await turn.reached;
    await expect(alone.bus.call(api.taskDiff, target, { taskId })).rejects.toMatchObject({
      code: 'conflict',
      details: { state: 'working' },
    });
    turn.release();
    await alone.ended(runId);
  });

  test('is bundled from its branch only once it has a commit', async () => {
    const requests: object[] = [];
    alone.services.onCall('worktree.bundle', (input) => {
      requests.push(input);
      return { bundle: 'b', ref: 'refs/x', commit: 'c', work: 'checkpoint' };
    });
    const turn = alone.services.hold('model.turn');
    const { runId, taskId } = await submitOne();
    await turn.reached;
    const bundle = await alone.bus.call(api.taskBundle, target, { taskId });
    expect(bundle).toEqual({ bundle: 'b', ref: 'refs/x', commit: 'c', work: 'checkpoint', baseCommit: 'base' });
    turn.release();
    await alone.ended(runId);
    await alone.bus.call(api.taskBundle, target, { taskId, whole: true });
    expect(requests).toMatchObject([
      { tenant: 'acme', taskId, branch: null, isOver: false, whole: false },
      { tenant: 'acme', taskId, branch: `coppice/${taskId}/work`, isOver: true, whole: true },
    ]);
  });

  test('of a task that was never prepared has no bundle', async () => {
    const turn = alone.services.hold('model.turn');
    const { runId, ids } = await alone.submit([{ name: 'a' }, { name: 'b', dependsOn: ['a'] }]);
    const call = alone.bus.call(api.taskBundle, target, { taskId: ids['b'] ?? '' });
    await expect(call).rejects.toMatchObject({ code: 'not-found' });
    turn.release();
    await alone.ended(runId);
  });
});

describe('a landing that the user has to finish', () => {
  const finishCommand = 'git merge refs/coppice/landed/x';
  const pendingOne = async () => {
    const reason = 'the checkout has changes';
    alone.services.on('worktree.land', () => ({ status: 'landed-pending', commit: 'c', reason, finishCommand }));
    const submitted = await submitOne();
    await alone.ended(submitted.runId);
    return submitted;
  };

  test('shows the command, and merging answers with it', async () => {
    const { runId, taskId } = await pendingOne();
    expect(await alone.task(taskId)).toMatchObject({ state: 'landed-pending', finishCommand, landedCommit: 'c' });
    expect((await alone.run(runId)).state).toBe('succeeded');
    await expect(alone.bus.call(api.taskMerge, target, { taskId })).rejects.toMatchObject({
      code: 'conflict',
      message: containing(finishCommand),
      details: { state: 'landed-pending' },
    });
  });

  test('counts as merged everywhere once the branch has the commit', async () => {
    const { runId, taskId } = await pendingOne();
    alone.services.onCall('worktree.finishedLandings', ({ tenant, landings }) => ({
      finished: landings.map(({ commit, branch }) => tenant === 'acme' && commit === 'c' && branch === 'main'),
    }));
    const merged = { taskId, state: 'merged', reason: null };
    expect(await alone.task(taskId)).toMatchObject({ ...merged, finishCommand: null });
    expect((await alone.run(runId)).tasks).toMatchObject([merged]);
    expect((await alone.bus.call(api.taskList, target, { runId })).tasks).toMatchObject([merged]);
    expect(await alone.bus.call(api.taskMerge, target, { taskId })).toMatchObject(merged);
    const { runs } = await alone.bus.call(api.runList, target, { limit: 1 });
    expect(runs).toMatchObject([{ runId, taskCounts: { merged: 1 } }]);
  });

  test('stays as it ended while the repository can’t be read', async () => {
    const { taskId } = await pendingOne();
    alone.services.onCall('worktree.finishedLandings', () => {
      throw new CoppiceError('git-failed', 'the disk is gone');
    });
    expect(await alone.task(taskId)).toMatchObject({ state: 'landed-pending', finishCommand });
  });
});

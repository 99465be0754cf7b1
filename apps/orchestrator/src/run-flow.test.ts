import { CoppiceError, api, landingPool } from '@coppice/contracts';
import type { CoppiceEvent } from '@coppice/contracts';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { commandPassed } from './test-support/drive-task.ts';
import { startOrchestratorAlone } from './test-support/orchestrator-alone.ts';
import type { OrchestratorAlone } from './test-support/orchestrator-alone.ts';
import { modelAnswer, node } from './test-support/stand-ins.ts';

/** Tests whole runs, with stand-ins for the other services. */
let alone: OrchestratorAlone;
beforeAll(async () => {
  alone = await startOrchestratorAlone();
}, 30_000);
afterEach(() => alone.services.reset());
afterAll(() => alone?.stop());

const idOf = (ids: Record<string, string>, name: string): string => {
  const id = ids[name];
  if (id === undefined) throw new Error(`no task ${name}`);
  return id;
};
/** Ends of a run's tasks, as `name state`. */
const endsOf = async (runId: string) => (await alone.ended(runId)).tasks.map(({ name, state }) => `${name} ${state}`);
const stateEvents = (events: CoppiceEvent[], taskId: string) =>
  events.flatMap((event) =>
    event.type === 'coppice.task-state' && event.data.taskId === taskId ? [event.data.to] : [],
  );

describe('a run of one task', () => {
  test('sends the commands of its task in order, and lands', async () => {
    const { runId, ids } = await alone.submit([{ name: 'one' }]);
    const { state, usage } = await alone.ended(runId);
    expect({ state, usage }).toEqual({
      state: 'succeeded',
      usage: { inputTokens: 10, outputTokens: 5, costUsd: 0.5 },
    });
    expect(alone.services.namesOf(idOf(ids, 'one'))).toEqual([
      'worktree.prepare',
      'sandbox.create',
      'model.turn',
      'sandbox.write',
      'sandbox.remove',
      'worktree.commit',
      'worktree.prepareMerge',
      'sandbox.run',
      'worktree.land',
      'worktree.remove',
    ]);
  });

  test('publishes each step of run and task as an event, numbered without a gap', async () => {
    const { runId, ids } = await alone.submit([{ name: 'one' }]);
    await alone.ended(runId);
    const events = await alone.events(runId);
    expect(stateEvents(events, idOf(ids, 'one'))).toEqual([
      'waiting',
      'preparing',
      'working',
      'committing',
      'verifying',
      'landing',
      'cleaning',
      'merged',
    ]);
    for (const kind of ['run', 'task']) {
      const numbers = events
        .filter(({ source }) => source.startsWith(`/coppice/${kind}/`))
        .map(({ sequence }) => Number(sequence));
      expect(numbers).toEqual(numbers.map((_, index) => index + 1));
    }
    expect(events.at(0)).toMatchObject({ type: 'coppice.run-submitted', data: { runId, tasks: 1 } });
    expect(events.at(-1)).toMatchObject({
      type: 'coppice.run-ended',
      data: { state: 'succeeded', taskCounts: { merged: 1 }, usage: { costUsd: 0.5 } },
    });
  });

  test('keeps each command on the node that prepared its worktree', async () => {
    const { runId, ids } = await alone.submit([{ name: 'one' }]);
    await alone.ended(runId);
    const pools = alone.services.commands
      .filter(({ owner }) => owner.taskId === ids['one'])
      .map(({ name, pool }) => [name, pool]);
    expect(pools[0]).toEqual(['worktree.prepare', 'any']);
    expect(pools.filter(([, pool]) => pool !== node).map(([name]) => name)).toEqual(['worktree.prepare', 'model.turn']);
  });
});

describe('tasks that depend on each other', () => {
  test('start only after the earlier one has landed', async () => {
    const { runId, ids } = await alone.submit([{ name: 'late', dependsOn: ['early'] }, { name: 'early' }]);
    const [late, early] = [idOf(ids, 'late'), idOf(ids, 'early')];
    expect(await endsOf(runId)).toEqual(['late merged', 'early merged']);
    const order = alone.services.commands.filter(({ owner }) => [late, early].includes(owner.taskId));
    const landed = order.findIndex(({ name, owner }) => name === 'worktree.land' && owner.taskId === early);
    const started = order.findIndex(({ owner }) => owner.taskId === late);
    expect(landed).toBeGreaterThanOrEqual(0);
    expect(started).toBeGreaterThan(landed);
  });

  test('are failed with the reason when an earlier one fails, and others go on', async () => {
    const turn = alone.services.hold('model.turn');
    const { runId, ids } = await alone.submit([
      { name: 'bad' },
      { name: 'next', dependsOn: ['bad'] },
      { name: 'last', dependsOn: ['next'] },
      { name: 'other' },
    ]);
    const bad = idOf(ids, 'bad');
    alone.services.on('sandbox.run', () => ({ ...commandPassed, exitCode: 2, standardError: 'wrong' }), bad);
    turn.release();
    const { state, tasks } = await alone.ended(runId);
    expect(state).toBe('failed');
    expect(tasks.map(({ name, state: end, reason }) => [name, end, reason])).toEqual([
      ['bad', 'failed', 'verify ended with exit code 2'],
      ['next', 'failed', 'depends on bad, which ended as failed'],
      ['last', 'failed', 'depends on next, which ended as failed'],
      ['other', 'merged', null],
    ]);
    expect(await alone.task(bad)).toMatchObject({ logTail: 'wrong', landedCommit: null });
    expect(alone.services.namesOf(idOf(ids, 'next'))).toEqual([]);
  });
});

test('no more tasks are at work than the run allows', async () => {
  let [active, most] = [0, 0];
  alone.services.on('worktree.prepare', (_input, standard) => {
    most = Math.max(most, ++active);
    return standard();
  });
  alone.services.on('worktree.remove', (_input, standard) => {
    active--;
    return standard();
  });
  const names = ['a', 'b', 'c', 'd', 'e'].map((name) => ({ name }));
  const { runId } = await alone.submit(names, { concurrency: 2 });
  expect((await alone.ended(runId)).state).toBe('succeeded');
  expect(most).toBe(2);
});

describe('tasks that land on the same branch', () => {
  test('land one after the other, and the later one verifies its new merge ahead of other commands', async () => {
    const verify = alone.services.hold('sandbox.run');
    const { runId, ids } = await alone.submit([{ name: 'a' }, { name: 'b' }]);
    await Promise.all([alone.reaches(idOf(ids, 'a'), 'verifying'), alone.reaches(idOf(ids, 'b'), 'verifying')]);
    await verify.reached;
    const before = alone.services.landed.length;
    verify.release();
    expect(await endsOf(runId)).toEqual(['a merged', 'b merged']);
    const [first, second] = alone.services.landed.slice(before);
    const poolsOf = (taskId = '') =>
      alone.services.commands
        .filter(({ name, owner }) => name === 'sandbox.run' && owner.taskId === taskId)
        .map(({ pool }) => pool);
    expect(poolsOf(first)).toEqual([node]);
    expect(poolsOf(second)).toEqual([node, landingPool(node)]);
    // The second task's commit was merged with the commit of the first task.
    const landed = (await alone.task(first ?? '')).landedCommit;
    expect(alone.services.inputsOf(second ?? '', 'worktree.land').at(-1)?.expectedTip).toBe(landed);
  });

  test('land nothing that fails on the new merge', async () => {
    const verify = alone.services.hold('sandbox.run');
    const { runId, ids } = await alone.submit([{ name: 'a' }, { name: 'b' }]);
    await Promise.all([alone.reaches(idOf(ids, 'a'), 'verifying'), alone.reaches(idOf(ids, 'b'), 'verifying')]);
    alone.services.on('sandbox.run', (input, standard) =>
      input.specification.sandboxId.endsWith('-verify-2') ? { ...commandPassed, exitCode: 1 } : standard(),
    );
    verify.release();
    const ends = (await alone.ended(runId)).tasks.map(({ state }) => state);
    expect(ends.toSorted()).toEqual(['failed', 'merged']);
  });

  test('fail on a conflict, which names the files and the commits that changed them', async () => {
    const landed = [{ path: 'a.txt', commits: [{ commit: '7', subject: 'feat: other', taskId: null }] }];
    alone.services.on('worktree.prepareMerge', () => ({ status: 'conflict', tip: '7', paths: ['a.txt'], landed }));
    const { runId, ids } = await alone.submit([{ name: 'a' }]);
    expect(await endsOf(runId)).toEqual(['a failed']);
    expect(await alone.task(idOf(ids, 'a'))).toMatchObject({
      reason: 'conflicts with main in a.txt',
      failure: { code: 'merge-conflict', details: { paths: ['a.txt'], landed } },
    });
  });
});

describe('a setup', () => {
  const setup = { run: 'npm ci', inputs: ['package-lock.json'] };
  const setupRuns = (taskIds: string[]) =>
    alone.services.commands.filter(
      ({ name, owner, input }) =>
        name === 'sandbox.run' &&
        taskIds.includes(owner.taskId) &&
        (input as { command: { shell: string } }).command.shell === setup.run,
    );

  test('runs once for all tasks that have the same one, and each gets its result', async () => {
    const { runId, ids } = await alone.submit([
      { name: 'a', setup },
      { name: 'b', setup },
    ]);
    expect(await endsOf(runId)).toEqual(['a merged', 'b merged']);
    expect(setupRuns(Object.values(ids))).toHaveLength(1);
    const keys = Object.values(ids).map((taskId) => alone.services.inputsOf(taskId, 'worktree.prepare')[0]?.setupKey);
    expect(keys[0]).toEqual(expect.any(String));
    expect(keys[1]).toBe(keys[0]);
  });

  test('that fails fails each of its tasks with what it printed, before anything is made for them', async () => {
    const failed = { ...commandPassed, exitCode: 7, standardError: 'no such package', logArtifact: 'log/1' };
    alone.services.on('sandbox.run', () => failed);
    const { runId, ids } = await alone.submit([
      { name: 'a', setup },
      { name: 'b', setup },
    ]);
    expect(await endsOf(runId)).toEqual(['a failed', 'b failed']);
    for (const taskId of Object.values(ids)) {
      expect(await alone.task(taskId)).toMatchObject({
        reason: 'setup ended with exit code 7',
        logTail: 'no such package',
        logArtifact: 'log/1',
      });
      expect(alone.services.namesOf(taskId)).not.toContain('worktree.prepare');
    }
  });
});

describe('a loop agent', () => {
  const loop = { kind: 'loop' } as const;

  test('runs the calls of the model, continues its conversation and commits with the summary', async () => {
    const answers = [
      [{ name: 'run', input: { command: 'make' } }],
      [{ name: 'finish', input: { summary: 'Made it.' } }],
    ];
    alone.services.on('model.turn', (_input, _standard, { effectId }) => modelAnswer(effectId, answers.shift()));
    const { runId, ids } = await alone.submit([{ name: 'a', agent: loop }]);
    expect(await endsOf(runId)).toEqual(['a merged']);
    const taskId = idOf(ids, 'a');
    const [first, second] = alone.services.inputsOf(taskId, 'model.turn');
    expect(first?.continues).toBeNull();
    expect(second?.messages).toMatchObject([{ role: 'tool', content: [{ type: 'tool-result', callId: 'run-0' }] }]);
    const [turnId] = alone.services.commands.flatMap(({ name, owner, effectId }) =>
      name === 'model.turn' && owner.taskId === taskId ? [effectId] : [],
    );
    expect(second?.continues).toBe(turnId);
    expect(alone.services.inputsOf(taskId, 'worktree.commit')[0]?.message.body).toBe('Made it.');
    expect(await alone.task(taskId)).toMatchObject({ summary: 'Made it.', modelTurns: 2, usage: { costUsd: 1 } });
    const turns = (await alone.events(runId)).filter(({ type }) => type === 'coppice.task-turn');
    expect(turns.map(({ data }) => data)).toMatchObject([
      { turn: 1, calls: [{ name: 'run', about: 'make' }] },
      { turn: 2, calls: [{ name: 'finish', about: 'Made it.' }] },
    ]);
  });

  test('ends at its limit of turns with a reason', async () => {
    let calls = 0;
    alone.services.on('model.turn', (_input, _standard, { effectId }) =>
      modelAnswer(effectId, [{ name: 'run', input: { command: `make ${++calls}` } }]),
    );
    const { runId, ids } = await alone.submit([{ name: 'a', agent: { ...loop, turns: 2 } }]);
    expect(await endsOf(runId)).toEqual(['a failed']);
    const task = await alone.task(idOf(ids, 'a'));
    expect(task).toMatchObject({ reason: 'the agent took 2 turns, the most it may, without finishing', modelTurns: 2 });
  });
});

describe('a run that is cancelled', () => {
  test('aborts commands at work, starts nothing more and cleans up', async () => {
    const begun = Promise.withResolvers<AbortSignal>();
    const never = Promise.withResolvers<never>();
    alone.services.on('model.turn', (_input, _standard, { signal }) => {
      begun.resolve(signal);
      signal.addEventListener('abort', () => never.reject(new CoppiceError('cancelled', 'stopped')));
      return never.promise;
    });
    const { runId, ids } = await alone.submit([{ name: 'a' }, { name: 'b' }], { concurrency: 1 });
    const signal = await begun.promise;
    await alone.bus.call(api.runCancel, { tenant: alone.tenant }, { runId, reason: 'enough' });
    const { state, tasks } = await alone.ended(runId);
    expect(state).toBe('cancelled');
    expect(tasks).toMatchObject([
      { state: 'cancelled', reason: 'enough' },
      { state: 'cancelled', reason: 'enough' },
    ]);
    expect(signal.aborted).toBe(true);
    expect(alone.services.namesOf(idOf(ids, 'a')).slice(-2)).toEqual(['sandbox.remove', 'worktree.remove']);
    expect(alone.services.namesOf(idOf(ids, 'b'))).toEqual([]);
    await expect(alone.bus.call(api.runCancel, { tenant: alone.tenant }, { runId })).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('has ended') as string,
    });
  });
});

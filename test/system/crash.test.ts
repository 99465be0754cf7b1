import { setTimeout as sleep } from 'node:timers/promises';
import { isTaskEnd, taskStates as allStates } from '@coppice/contracts';
import type { ServiceName, TaskState } from '@coppice/contracts';
import { readActor } from '@coppice/durable-actor';
import { eventually, temporaryRepository } from '@coppice/testing';
import type { TemporaryRepository } from '@coppice/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { whyWithout } from '../support/engines.ts';
import { Stack } from '../support/stack.ts';

/**
 * Any process may die at any moment: each service is killed (SIGKILL) during its own work, and the orchestrator in each state of a task.
 * The task still ends with one commit and one merge, and no finished model turn is requested again.
 */

const script = `
rules:
  - { when: { contains: slowly }, turns: [{ text: "good\\n", latencyMs: 1500 }] }
default: { turns: [{ text: "good\\n", latencyMs: 100 }] }
`;
const files = {
  'README.md': '# A repository\n',
  'check.sh': 'sleep 0.3; test -f one.txt\n',
  'slow-check.sh': 'sleep 3; test -f one.txt\n',
};
/** A lost command is redelivered after its ack wait (15 s), a lost membership expires as late; one may follow the other. */
const recoveryMsMax = 120_000;
/** Tasks until the orchestrator is killed in the state that a test names. */
const triesMax = 3;

const absent = await whyWithout('bubblewrap');

describe.skipIf(absent !== null)(`services that die${absent === null ? '' : ` (skipped: ${absent})`}`, () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await Stack.start({ engine: 'bubblewrap', script });
  }, 180_000);
  afterAll(() => stack?.stop());

  const submitOne = async (repository: TemporaryRepository, rest: object = {}, others: object[] = []) => {
    const { runId, tasks } = await stack.submit({
      repository: repository.path,
      baseBranch: 'main',
      defaults: { model: stack.model },
      tasks: [
        {
          name: 'one',
          description: 'Write one',
          prompt: 'write',
          agent: { kind: 'prompt', file: 'one.txt' },
          verify: 'sh check.sh',
          ...rest,
        },
        ...others,
      ],
    });
    return { runId, taskId: tasks[0]?.taskId ?? '' };
  };
  /** A task that works for some time, and one that waits for its end. */
  const submitWaiting = (repository: TemporaryRepository) => {
    const first = {
      name: 'first',
      description: 'Write first',
      prompt: 'slowly',
      agent: { kind: 'prompt', file: 'first.txt' },
      verify: 'test -f first.txt',
    };
    return submitOne(repository, { dependsOn: ['first'] }, [first]);
  };

  /** Checks that there is one commit and one merge, nothing unfinished, and no repeated request for an answered turn. */
  async function expectLandedOnce(repository: TemporaryRepository, runId: string, taskId: string): Promise<void> {
    const run = await stack.ended(runId, recoveryMsMax);
    expect(run.tasks.map(({ state }) => state)).toEqual(run.tasks.map(() => 'merged'));
    expect(run.tasks[0]).toEqual({ taskId, name: 'one', state: 'merged', reason: null });
    const commits = await repository.git('log', '--format=%s', '--grep', `Coppice-Task: ${taskId}`, '--no-merges');
    expect(commits).toBe('feat: Write one');
    expect((await repository.git('log', '--merges', '--format=%H')).split('\n')).toHaveLength(run.tasks.length);
    expect(await repository.git('status', '--porcelain')).toBe('');
    const lines = (await stack.modelCalls()).filter((line) => line.taskId === taskId);
    const firstAnswer = lines.findIndex((line) => line.event === 'answered');
    expect(lines.slice(firstAnswer + 1)).toEqual([]);
    // Each event was published once, in order.
    const ofTask = (await stack.events(runId)).filter((event) => event.source.endsWith(taskId));
    expect(ofTask.map((event) => event.sequence)).toEqual(ofTask.map((_event, index) => String(index + 1)));
    expect(ofTask.filter((event) => event.type === 'coppice.task-ended')).toHaveLength(1);
  }

  /** Kills the orchestrator. Returns the state in which it left the task, as it is stored. */
  async function killOrchestrator(taskId: string): Promise<string> {
    await stack.kill('orchestrator');
    const view = await readActor(stack.bus, 'task', `default.${taskId}`);
    return view?.state.split('.')[0] ?? 'absent';
  }

  const beforeTheEnd = [
    'waiting',
    'preparing',
    'working',
    'committing',
    'verifying',
    'landing',
    'cleaning',
  ] as const satisfies TaskState[];

  test.each(beforeTheEnd)(
    'the orchestrator, while the task is %s',
    async (state) => {
      const left: string[] = [];
      // The orchestrator may leave a short state before the signal arrives; such a task lands as well, but another one is killed for the state's sake.
      while (left.at(-1) !== state && left.length < triesMax) {
        await using repository = await temporaryRepository({ files });
        const { runId, taskId } = await (state === 'waiting' ? submitWaiting : submitOne)(repository);
        await stack.reached(runId, taskId, state);
        left.push(await killOrchestrator(taskId));
        await stack.startService('orchestrator');
        await expectLandedOnce(repository, runId, taskId);
      }
      expect(left.at(-1), `states in which it was killed: ${left.join(', ')}`).toBe(state);
    },
    400_000,
  );

  test('the orchestrator, while a person is waited for', async () => {
    await using repository = await temporaryRepository({ files });
    const { runId, taskId } = await submitOne(repository, { merge: 'manual', protect: ['one.txt'] });
    await stack.reached(runId, taskId, 'awaiting-approval');
    expect(await killOrchestrator(taskId)).toBe('awaiting-approval');
    await stack.startService('orchestrator');
    await stack.command('taskApprove', { taskId });
    await stack.reached(runId, taskId, 'ready');
    expect(await killOrchestrator(taskId)).toBe('ready');
    await stack.startService('orchestrator');
    await stack.command('taskMerge', { taskId });
    await expectLandedOnce(repository, runId, taskId);
  }, 180_000);

  test('every state of a task that is not an end was one of these', () => {
    const states = [...beforeTheEnd, 'awaiting-approval', 'ready'];
    expect(allStates.filter((state) => !isTaskEnd(state)).toSorted()).toEqual(states.toSorted());
  });

  test('the gateway, during a model call: called again, and counted apart', async () => {
    await using repository = await temporaryRepository({ files });
    const { runId, taskId } = await submitOne(repository, { prompt: 'slowly' });
    await eventually(async () => (await stack.modelCalls()).some((line) => line.taskId === taskId));
    await stack.killAndRestart('llm-gateway');
    await expectLandedOnce(repository, runId, taskId);
    expect((await stack.modelCalls()).filter((line) => line.taskId === taskId).map((line) => line.event)).toEqual([
      'requested',
      'requested',
      'answered',
    ]);
    expect(await stack.task(taskId)).toMatchObject({ modelTurns: 1, modelTurnsUnknown: 1 });
  }, 180_000);

  const ownWork: [ServiceName, TaskState, number][] = [
    ['worktree-service', 'preparing', 0],
    ['worktree-service', 'committing', 30],
    ['worktree-service', 'verifying', 0],
    ['worktree-service', 'landing', 30],
    ['worktree-service', 'cleaning', 0],
    ['container-service', 'preparing', 60],
    ['container-service', 'committing', 0],
    ['container-service', 'verifying', 1_000],
  ];
  test.each(ownWork)(
    'the %s, while the task is %s (and %i ms later)',
    async (service, state, laterMs) => {
      await using repository = await temporaryRepository({ files });
      const { runId, taskId } = await submitOne(repository, { verify: 'sh slow-check.sh' });
      await stack.reached(runId, taskId, state);
      await sleep(laterMs);
      await stack.killAndRestart(service);
      await expectLandedOnce(repository, runId, taskId);
    },
    180_000,
  );

  test('all of them, one after the other, under a run of eight', async () => {
    await using repository = await temporaryRepository({ files });
    const task = (index: number) => ({
      name: `t${index}`,
      description: `Write t${index}`,
      prompt: 'slowly',
      agent: { kind: 'prompt', file: `t${index}.txt` },
      verify: 'sleep 0.5; ls *.txt',
    });
    const { runId } = await stack.submit({
      repository: repository.path,
      baseBranch: 'main',
      concurrency: 4,
      defaults: { model: stack.model },
      tasks: Array.from({ length: 8 }, (_, index) => task(index)),
    });
    for (const service of [
      'llm-gateway',
      'orchestrator',
      'container-service',
      'worktree-service',
      'orchestrator',
    ] as const) {
      await sleep(700);
      await stack.killAndRestart(service);
    }
    const run = await stack.ended(runId, recoveryMsMax);
    expect(run.state).toBe('succeeded');
    expect((await repository.git('log', '--merges', '--format=%H')).split('\n')).toHaveLength(8);
    expect((await repository.git('log', '--no-merges', '--format=%s')).split('\n')).toHaveLength(9);
    expect(await repository.git('status', '--porcelain')).toBe('');
  }, 240_000);
});

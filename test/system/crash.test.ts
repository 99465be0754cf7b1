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
 * Each service is killed by SIGKILL during its own work, and the orchestrator in each state of a task. The task must
 * still end with one commit and one merge. No model call whose answer was stored may be repeated.
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
/**
 * Time limit for a recovery. A lost command is redelivered after its ack wait of 15 s. Only afterwards a lost
 * membership may expire.
 */
const recoveryMsMax = 120_000;
/** Maximum number of tasks until the orchestrator is killed in the required state. */
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
  /** Submits a task that depends on another, slow task. */
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

  /** Checks that the run ends with one commit and one merge, and that no answered model call was repeated. */
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
    // Each event must have been published once, in order.
    const ofTask = (await stack.events(runId)).filter((event) => event.source.endsWith(taskId));
    expect(ofTask.map((event) => event.sequence)).toEqual(ofTask.map((_event, index) => String(index + 1)));
    expect(ofTask.filter((event) => event.type === 'coppice.task-ended')).toHaveLength(1);
  }

  /** @returns the task's stored state */
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
      // A short state may end before the signal arrives. The test then tries another task.
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

  test('the orchestrator, while a task waits for a user', async () => {
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

  test('these tests cover every state of a task that is not an end', () => {
    const states = [...beforeTheEnd, 'awaiting-approval', 'ready'];
    expect(allStates.filter((state) => !isTaskEnd(state)).toSorted()).toEqual(states.toSorted());
  });

  test('the gateway, during a model call: the call is repeated, and counted as unknown', async () => {
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

  test('all services, one after the other, during a run of eight tasks', async () => {
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

import { randomUUID } from 'node:crypto';
import { intakeConsumer, runIdOf, streams, subjects } from '@coppice/contracts';
import type { ServiceName } from '@coppice/contracts';
import { eventually, temporaryRepository } from '@coppice/testing';
import type { TemporaryRepository } from '@coppice/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { whyWithout } from '../support/engines.ts';
import { Stack } from '../support/stack.ts';

/** Tests an upgrade while tasks run, as docs/operations.md describes it. */
const tasksOfRun = 9;
const nameOf = (index: number): string => `task-${index}`;
/** In the first turn of each task, a command runs in the sandbox. */
const rules = Array.from({ length: tasksOfRun }, (_, index) => ({
  when: { contains: `do ${nameOf(index)}.` },
  turns: [
    {
      toolCalls: [{ name: 'run', arguments: { command: `sleep 1; echo good > ${nameOf(index)}.txt` } }],
      latencyMs: 1_000,
    },
    { toolCalls: [{ name: 'finish', arguments: { summary: 'Done.' } }], latencyMs: 1_000 },
  ],
}));
// JSON is also valid YAML.
const script = JSON.stringify({ rules, default: { turns: [{ text: 'good\n' }] } });
/** A service that others call comes before its callers. */
const upgradeOrder: readonly ServiceName[] = ['worktree-service', 'container-service', 'llm-gateway', 'orchestrator'];
const tenant = 'default';
const concurrency = 3;
const states = ['waiting', 'preparing', 'working', 'committing', 'verifying', 'landing', 'cleaning', 'merged'];

const absent = await whyWithout('bubblewrap');

describe.skipIf(absent !== null)(`an upgrade while tasks run${absent === null ? '' : ` (skipped: ${absent})`}`, () => {
  let stack: Stack;
  let repository: TemporaryRepository;
  beforeAll(async () => {
    stack = await Stack.start({ engine: 'bubblewrap', script });
  }, 180_000);
  afterAll(async () => {
    await stack?.stop();
    await repository?.remove();
  });

  const requestOf = (names: string[], agentOf: (name: string) => object) => ({
    repository: repository.path,
    baseBranch: 'main',
    concurrency,
    defaults: { model: stack.model },
    tasks: names.map((name) => ({
      name,
      description: `Write ${name}`,
      prompt: `do ${name}.`,
      agent: agentOf(name),
      verify: `sleep 0.5; test -f ${name}.txt`,
    })),
  });

  const isAtWork = async (runId: string): Promise<boolean> =>
    [...(await stack.tasks(runId)).values()].some(({ state }) => state !== 'waiting' && state !== 'merged');

  test.each(['stop-first', 'start-first'] as const)(
    'each service is replaced in turn, %s',
    async (order) => {
      repository = await temporaryRepository({ files: { 'README.md': '# A repository\n' } });
      const names = Array.from({ length: tasksOfRun }, (_, index) => nameOf(index));
      const { runId, tasks } = await stack.submit(requestOf(names, () => ({ kind: 'loop' })));
      for (const name of upgradeOrder) {
        await eventually(() => isAtWork(runId), { timeoutMs: 60_000, description: 'work to interrupt' });
        expect(await stack.replace(name, order)).toMatchObject({ code: 0 });
      }
      // Otherwise the last service was replaced after the work.
      expect((await stack.run(runId)).state).toBe('running');
      expect((await stack.ended(runId)).tasks.map(({ state }) => state)).toEqual(tasks.map(() => 'merged'));
      expect(await repository.git('status', '--porcelain')).toBe('');
      expect((await repository.git('log', '--merges', '--format=%H')).split('\n')).toHaveLength(tasks.length);

      const calls = (await stack.modelCalls()).filter(({ taskId }) => tasks.some((task) => task.taskId === taskId));
      expect(calls.filter(({ event }) => event === 'requested')).toHaveLength(2 * tasks.length);
      const events = await stack.events(runId);
      for (const { taskId } of tasks) {
        const ofTask = events.filter(({ source }) => source.endsWith(taskId));
        expect(ofTask.flatMap((event) => (event.type === 'coppice.task-state' ? [event.data.to] : []))).toEqual(states);
        expect(await stack.task(taskId)).toMatchObject({ modelTurns: 2, modelTurnsUnknown: 0, reason: null });
      }
      expect(await stack.bus.storedMessages(streams.deadLetters)).toBe(0);
    },
    180_000,
  );

  test('two orchestrators that start at the same time take over the intake and the consumers of an earlier version, with their waiting messages', async () => {
    repository = await temporaryRepository({ files: { 'README.md': '# A repository\n' } });
    for (const name of upgradeOrder) await stack.stopService(name);
    await makeEarlierConsumers();
    await makeEarlierIntake();
    const requestIds = Array.from({ length: 6 }, () => randomUUID());
    for (const [index, requestId] of requestIds.entries()) {
      const name = `earlier-${index}`;
      const request = { requestId, ...requestOf([name], () => ({ kind: 'prompt', file: `${name}.txt` })) };
      // The last request is stored as the earlier version stores a request for later.
      const isLater = index === 5;
      const schedule = { at: new Date(Date.now() + 3_600_000), target: subjects.intake(tenant) };
      if (isLater) await stack.bus.publish(subjects.intakeLater(tenant, 'x'), request, { schedule });
      else await stack.bus.publish(subjects.intake(tenant), request, { messageId: requestId });
    }
    // Makes the server deliver one request to a reply subject without a listener, as if the receiving process had
    // ended.
    stack.bus.publishCore(`$JS.API.CONSUMER.MSG.NEXT.${streams.intake}.${intakeConsumer}`, { batch: 1 }, {});
    const [one] = await Promise.all([
      stack.startService('orchestrator'),
      ...upgradeOrder.map((name) => stack.startService(name)),
    ]);
    for (const requestId of requestIds) {
      const runId = runIdOf(tenant, requestId);
      await eventually(async () => (await stack.run(runId)).state === 'succeeded', { timeoutMs: 60_000 });
    }
    expect((await repository.git('log', '--merges', '--format=%H')).split('\n')).toHaveLength(requestIds.length);
    expect(await stack.bus.storedMessages(streams.deadLetters)).toBe(0);
    const { config } = (await ask(`STREAM.INFO.${streams.intake}`)) as { config: object };
    expect(config).toMatchObject({ subjects: [subjects.intake('*')] });
    expect(config).not.toHaveProperty('allow_msg_schedules', true);
    const last = { requestId: randomUUID(), ...requestOf(['last'], () => ({ kind: 'prompt', file: 'last.txt' })) };
    expect(await stack.bus.publish(subjects.intake(tenant), last)).toMatchObject({ duplicate: false });
    const lastRun = runIdOf(tenant, last.requestId);
    await eventually(async () => (await stack.run(lastRun)).state === 'succeeded', { timeoutMs: 60_000 });
    await one.kill('SIGTERM');
  }, 180_000);

  const ask = async (operation: string, body: object = {}): Promise<unknown> => {
    const { data } = await stack.bus.request(`$JS.API.${operation}`, body, { deadlineMs: 5_000 });
    const answer = JSON.parse(new TextDecoder().decode(data)) as { error?: { description: string } };
    if (answer.error !== undefined) throw new Error(`${operation}: ${answer.error.description}`);
    return answer;
  };

  /** Recreates the intake's stream as in the earlier version, with schedules. */
  async function makeEarlierIntake(): Promise<void> {
    for (const stream of [streams.intake, streams.intakeLater]) await ask(`STREAM.DELETE.${stream}`);
    await ask(`STREAM.CREATE.${streams.intake}`, {
      name: streams.intake,
      subjects: ['coppice.intake.*.run', 'coppice.intake-later.>'],
      retention: 'workqueue',
      storage: 'file',
      num_replicas: 1,
      duplicate_window: 120_000_000_000,
      allow_msg_schedules: true,
      allow_msg_ttl: true,
    });
    await makeEarlierConsumer(streams.intake, intakeConsumer, 'coppice.intake.*.run');
  }

  async function makeEarlierConsumers(): Promise<void> {
    for (const stream of [streams.actors, streams.commands]) {
      const { consumers } = (await ask(`CONSUMER.LIST.${stream}`)) as {
        consumers: { name: string; config: { filter_subject: string } }[];
      };
      expect(consumers.length).toBeGreaterThan(0);
      for (const { name, config } of consumers) {
        await ask(`CONSUMER.DELETE.${stream}.${name}`);
        await makeEarlierConsumer(stream, name, config.filter_subject);
      }
    }
  }

  /** Recreates a consumer as in the earlier version, with its filter in a list. */
  const makeEarlierConsumer = (stream: string, name: string, filter: string) =>
    ask(`CONSUMER.DURABLE.CREATE.${stream}.${name}`, {
      stream_name: stream,
      config: {
        durable_name: name,
        ack_policy: 'explicit',
        ack_wait: 60_000_000_000,
        max_deliver: -1,
        filter_subjects: [filter],
      },
    });
});

import { CoppiceError, api, artifactNames, buckets, runIdOf } from '@coppice/contracts';
import { listActors, readActor } from '@coppice/durable-actor';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { TaskContext } from './machines/task/task-context.ts';
import { requestOf, startOrchestratorAlone } from './test-support/orchestrator-alone.ts';
import type { OrchestratorAlone } from './test-support/orchestrator-alone.ts';

/** Tests over the bus which requests run.submit accepts. */
let alone: OrchestratorAlone;
beforeAll(async () => {
  alone = await startOrchestratorAlone();
}, 30_000);
afterEach(() => alone.services.reset());
afterAll(() => alone?.stop());

const target = { tenant: 'acme' };
type Refusal = { code: string; message: string; details?: { issues?: object[] } };

/** Sends a request that the client wouldn't send. Returns the error in the answer. */
async function refusalOf(request: object): Promise<Refusal> {
  const reply = await alone.bus.request('coppice.api.acme.run.submit', request, { deadlineMs: 30_000 });
  const answer = JSON.parse(new TextDecoder().decode(reply.data)) as { error?: Refusal };
  if (answer.error === undefined) throw new Error('the request was accepted');
  return answer.error;
}
const runsOf = async (tenant: string) => {
  const runs = await Array.fromAsync(listActors(alone.bus, { kind: 'run', under: tenant }));
  return runs.length;
};
const contextOf = async (taskId = ''): Promise<TaskContext> => {
  const view = await readActor(alone.bus, 'task', `acme.${taskId}`);
  return (view?.context ?? view?.summary) as TaskContext;
};

describe('a wrong field is refused at once, by its name, with what was expected and what came', () => {
  const task = { name: 'a', description: 'a', prompt: 'a' };
  const ofTask = (fields: object) => ({ tasks: [{ ...task, ...fields }] });
  test.each<[object, string, string, string]>([
    [{ repository: undefined }, 'repository', 'string', 'nothing'],
    [{ repository: 7 }, 'repository', 'string', '7'],
    [{ repository: 'a\nb' }, 'repository', 'line', 'a'],
    [{ baseBranch: 'a..b' }, 'baseBranch', 'a branch name', '"a..b"'],
    [{ baseBranch: '-a' }, 'baseBranch', 'a branch name', '"-a"'],
    [{ concurrency: 0 }, 'concurrency', '1', '0'],
    [{ concurrency: 65 }, 'concurrency', '64', '65'],
    [{ concurrency: 1.5 }, 'concurrency', 'int', '1.5'],
    [{ tasks: [] }, 'tasks', '1', ''],
    [{ tasks: {} }, 'tasks', 'array', ''],
    [{ priority: 1 }, 'priority', '', '1'],
    [{ limits: { tokens: 0 } }, 'limits.tokens', '1', '0'],
    [{ limits: { costUsd: -1 } }, 'limits.costUsd', '0', '-1'],
    [{ defaults: { modle: 'acme/x' } }, 'defaults.modle', 'model', ''],
    [{ defaults: { limits: { time: '25h' } } }, 'defaults.limits.time', 'a duration between 1s and 24h', '"25h"'],
    [ofTask({ name: 'A b' }), 'tasks[0].name', 'lower-case letters', '"A b"'],
    [ofTask({ description: '' }), 'tasks[0].description', '', '""'],
    [ofTask({ description: 'two\nlines' }), 'tasks[0].description', 'line', 'two'],
    [ofTask({ prompt: null }), 'tasks[0].prompt', 'string', 'null'],
    [ofTask({ prompt: 'x'.repeat(65_537) }), 'tasks[0].prompt', '65536', ''],
    [ofTask({ model: 'no model' }), 'tasks[0].model', 'provider/model, or an alias', '"no model"'],
    [ofTask({ agent: { kind: 'lop' } }), 'tasks[0].agent.kind', 'loop', '"lop"'],
    [ofTask({ agent: { kind: 'prompt' } }), 'tasks[0].agent.file', 'string', 'nothing'],
    [ofTask({ agent: { kind: 'prompt', file: '../x' } }), 'tasks[0].agent.file', '', '"../x"'],
    [ofTask({ agent: { kind: 'loop', turns: 0 } }), 'tasks[0].agent.turns', '1', '0'],
    [ofTask({ verify: true }), 'tasks[0].verify', 'a shell command, or false', 'true'],
    [ofTask({ merge: 'yes' }), 'tasks[0].merge', 'auto', '"yes"'],
    [ofTask({ method: 'rebase' }), 'tasks[0].method', 'squash', '"rebase"'],
    [ofTask({ network: { agent: 'some' } }), 'tasks[0].network.agent', 'none', '"some"'],
    [ofTask({ image: 'UPPER case' }), 'tasks[0].image', 'an image reference', '"UPPER case"'],
    [ofTask({ commit: { type: 'Feat!' } }), 'tasks[0].commit.type', 'a conventional commit type', '"Feat!"'],
    [ofTask({ setup: { run: 'x', inputs: ['/etc/x'] } }), 'tasks[0].setup.inputs[0]', '', '"/etc/x"'],
    [ofTask({ limits: { time: '1ms' } }), 'tasks[0].limits.time', '', '"1ms"'],
    [ofTask({ dependsOn: 'b' }), 'tasks[0].dependsOn', 'array', '"b"'],
    [ofTask({ dependsOn: ['b'] }), 'tasks[0].dependsOn[0]', 'the name of a task of this run', '"b"'],
    [ofTask({ dependsOn: ['a'] }), 'tasks[0].dependsOn', 'no circle', 'a → a'],
    [{ tasks: [task, task] }, 'tasks[1].name', 'a name of its own', '"a"'],
    [{ defaults: {} }, 'tasks[0].model', 'here or in defaults', 'nothing'],
  ])('%j', async (changes, field, expected, received) => {
    const refusal = await refusalOf({ ...requestOf([task]), ...changes });
    expect(refusal.code).toBe('invalid-request');
    expect(refusal.message).toContain(`run.submit: ${field}: expected `);
    expect(refusal.details?.issues?.[0]).toEqual({
      field,
      expected: expect.stringContaining(expected) as string,
      received: expect.stringContaining(received) as string,
    });
  });

  test('and leaves nothing behind', async () => {
    const before = await runsOf('acme');
    await refusalOf({ ...requestOf([task]), concurrency: 0 });
    expect(await runsOf('acme')).toBe(before);
  });

  test('together with the others, all in one answer', async () => {
    const { message, details } = await refusalOf({
      ...requestOf([task]),
      repository: 7,
      baseBranch: '-',
      concurrency: 0,
    });
    expect(details?.issues).toMatchObject([{ field: 'repository' }, { field: 'baseBranch' }, { field: 'concurrency' }]);
    expect(message).toContain('2 more');
  });
});

test('a request too large for one message names its largest task', async () => {
  const prompt = 'x'.repeat(64_000);
  const tasks = Array.from({ length: 15 }, (_, index) => ({
    name: `t${index}`,
    prompt: index === 7 ? `${prompt}longest` : prompt,
  }));
  expect(await refusalOf(requestOf(tasks))).toMatchObject({
    code: 'limit-exceeded',
    details: {
      issues: [{ field: 'tasks', received: expect.stringContaining('the largest task is tasks[7]') as string }],
    },
  });
});

describe('the repository of a request', () => {
  test.each([
    ['repository-not-found', 'repository', 'a git repository that can be read'],
    ['branch-not-found', 'baseBranch', 'a branch of the repository'],
  ] as const)('that the worktree service answers with %s is refused for its %s', async (code, field, expected) => {
    alone.services.onCall('worktree.inspect', () => {
      throw new CoppiceError(code, 'there is none; did you mean main?');
    });
    const request = requestOf([{ name: 'a' }]);
    expect(await refusalOf(request)).toMatchObject({
      code,
      message: `run.submit: ${field}: there is none; did you mean main?`,
      details: { issues: [{ field, expected, received: JSON.stringify(request[field]) }] },
    });
    expect(await readActor(alone.bus, 'run', `acme.${runIdOf('acme', request.requestId)}`)).toBeNull();
  });

  test('that the tenant may not use is refused with the fields that the service names', async () => {
    const details = { issues: [{ field: 'repository', expected: 'an allowed one', received: '"/x"' }] };
    alone.services.onCall('worktree.inspect', () => {
      throw new CoppiceError('permission-denied', 'not for acme', { details });
    });
    const refusal = await refusalOf(requestOf([{ name: 'a' }]));
    expect(refusal).toMatchObject({ code: 'permission-denied', message: 'run.submit: not for acme', details });
  });

  test('is looked at again while a disk is full, since another host may answer', async () => {
    let calls = 0;
    alone.services.onCall('worktree.inspect', ({ repository }) => {
      if (++calls < 3) throw new CoppiceError('disk-full', 'no space');
      return { repositoryId: 'r', repository, baseCommit: 'base' };
    });
    const { runId } = await alone.submit([{ name: 'a' }]);
    expect(calls).toBe(3);
    await alone.ended(runId);
  });

  test('is refused when the disks of five hosts are full', async () => {
    let calls = 0;
    alone.services.onCall('worktree.inspect', () => {
      calls++;
      throw new CoppiceError('disk-full', 'no space');
    });
    expect(await refusalOf(requestOf([{ name: 'a' }]))).toMatchObject({ code: 'disk-full', retryable: true });
    expect(calls).toBe(5);
  });

  test('is stored under the address that the service gives it', async () => {
    alone.services.onCall('worktree.inspect', () => ({ repositoryId: 'r', repository: '/real', baseCommit: 'base' }));
    const { runId, ids } = await alone.submit([{ name: 'a' }], { repository: '/link' });
    expect((await alone.run(runId)).repository).toBe('/real');
    await alone.ended(runId);
    expect(alone.services.inputsOf(ids['a'] ?? '', 'worktree.prepare')).toMatchObject([{ repository: '/real' }]);
  });
});

describe('a model that the gateway can’t use', () => {
  test('is refused where the request names it, once each', async () => {
    alone.services.onCall('gateway.checkModels', ({ models }) => ({
      problems: models.filter((model) => model !== 'acme/good').map((model) => ({ model, problem: `no ${model}` })),
    }));
    const tasks = [{ name: 'a' }, { name: 'b' }, { name: 'c', model: 'acme/bad' }, { name: 'd', model: 'acme/good' }];
    const { code, details } = await refusalOf(requestOf(tasks));
    const expected = (model: string) => `a model that this stack's gateway can call (no ${model})`;
    expect(code).toBe('invalid-request');
    expect(details?.issues).toEqual([
      { field: 'defaults.model', expected: expected('acme/x'), received: '"acme/x"' },
      { field: 'tasks[2].model', expected: expected('acme/bad'), received: '"acme/bad"' },
    ]);
  });

  test('is found out by the task where no gateway answers', async () => {
    alone.services.onCall('gateway.checkModels', () => {
      throw new CoppiceError('internal', 'the gateway has a defect');
    });
    const { runId } = await alone.submit([{ name: 'a' }]);
    expect((await alone.ended(runId)).state).toBe('succeeded');
  });
});

describe('the id of a request', () => {
  test('sent again finds the same run, also after its end', async () => {
    const request = requestOf([{ name: 'a' }]);
    const first = await alone.bus.call(api.runSubmit, target, request);
    const [second, third] = await Promise.all([1, 2].map(() => alone.bus.call(api.runSubmit, target, request)));
    expect([first.created, second?.created, third?.created]).toEqual([true, false, false]);
    await alone.ended(first.runId);
    expect(await alone.bus.call(api.runSubmit, target, request)).toEqual({ ...first, created: false });
    const taskId = first.tasks[0]?.taskId ?? '';
    expect(alone.services.namesOf(taskId).filter((name) => name === 'worktree.land')).toHaveLength(1);
  });

  test('of several senders at once makes one run', async () => {
    const request = requestOf([{ name: 'a' }]);
    const answers = await Promise.all(Array.from({ length: 5 }, () => alone.bus.call(api.runSubmit, target, request)));
    expect(new Set(answers.map(({ runId }) => runId)).size).toBe(1);
    const { runId } = await alone.ended(answers[0]?.runId ?? '');
    const submitted = (await alone.events(runId)).filter(({ type }) => type === 'coppice.run-submitted');
    expect(submitted).toHaveLength(1);
  });

  test('used for another request is refused, and the first run stays as it is', async () => {
    const request = requestOf([{ name: 'a' }]);
    const { runId } = await alone.bus.call(api.runSubmit, target, request);
    const { requestId } = request;
    const other = { ...request, concurrency: 2 };
    expect(await refusalOf(other)).toMatchObject({
      code: 'already-exists',
      details: { runId, issues: [{ field: 'requestId', received: JSON.stringify(requestId) }] },
    });
    expect((await alone.ended(runId)).concurrency).toBe(4);
  });

  test('of two tenants names two runs', async () => {
    const request = requestOf([{ name: 'a' }]);
    const mine = await alone.bus.call(api.runSubmit, target, request);
    const theirs = await alone.bus.call(api.runSubmit, { tenant: 'other' }, request);
    expect([mine.created, theirs.created]).toEqual([true, true]);
    expect(theirs.runId).not.toBe(mine.runId);
    expect(theirs.tasks[0]?.taskId).not.toBe(mine.tasks[0]?.taskId);
  });
});

describe('an accepted run', () => {
  test('answers with its tasks in order, each of which can be read at once', async () => {
    const turn = alone.services.hold('model.turn');
    const { runId, ids } = await alone.submit([{ name: 'b' }, { name: 'a', dependsOn: ['b'] }]);
    expect(Object.keys(ids)).toEqual(['b', 'a']);
    for (const [name, taskId] of Object.entries(ids)) expect(await alone.task(taskId)).toMatchObject({ name, runId });
    turn.release();
    await alone.ended(runId);
  });

  test('names the parts of verify commands that no protected file defines, each once', async () => {
    const request = requestOf([{ name: 'a' }, { name: 'b' }], {
      defaults: { model: 'acme/x', agent: { kind: 'prompt', file: 'one.txt' }, verify: 'unknown-program' },
    });
    const { runId, unprotected } = await alone.bus.call(api.runSubmit, target, request);
    expect(unprotected?.map(({ part }) => part)).toEqual(['unknown-program']);
    const { tasks } = await alone.ended(runId);
    const taskId = tasks[0]?.taskId ?? '';
    expect((await alone.task(taskId)).unprotected).toEqual(unprotected);
  });

  test('keeps a long prompt out of the task’s value, and the model gets it by reference', async () => {
    const long = 'ü'.repeat(4 * 1024);
    const turn = alone.services.hold('model.turn');
    const { runId, ids } = await alone.submit([
      { name: 'long', prompt: long },
      { name: 'short', prompt: 'x'.repeat(4 * 1024) },
    ]);
    const [longId = '', shortId = ''] = [ids['long'], ids['short']];
    const artifact = artifactNames.prompt('acme', runId, longId);
    expect((await contextOf(longId)).specification.prompt).toEqual({ artifact });
    expect((await contextOf(shortId)).specification.prompt).toEqual({ text: 'x'.repeat(4 * 1024) });
    const stored = await (await alone.bus.objects(buckets.artifacts)).get(artifact);
    expect(new TextDecoder().decode(stored ?? undefined)).toBe(long);
    turn.release();
    await alone.ended(runId);
    const [input] = alone.services.inputsOf(longId, 'model.turn');
    expect(input?.messages).toMatchObject([{ content: [{ type: 'text-artifact', artifact }] }]);
  });

  test('passes its limits and its networks to the commands of its tasks', async () => {
    const { runId, ids } = await alone.submit(
      [{ name: 'a', limits: { tokens: 500 }, network: { agent: 'full' }, image: 'other/image' }],
      { limits: { costUsd: 3 } },
    );
    await alone.ended(runId);
    const taskId = ids['a'] ?? '';
    const limits = { task: { tokens: 500 }, run: { costUsd: 3 } };
    expect(alone.services.inputsOf(taskId, 'model.turn')).toMatchObject([{ model: 'acme/x', limits }]);
    const sandbox = { network: 'full', image: 'other/image' };
    expect(alone.services.inputsOf(taskId, 'sandbox.create')).toMatchObject([sandbox]);
    expect(alone.services.inputsOf(taskId, 'sandbox.run')).toMatchObject([{ specification: { network: 'none' } }]);
  });
});

import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { CoppiceError, api, buckets, runIdOf, runLimits, streams, subjects } from '@coppice/contracts';
import { eventually, temporaryRepository } from '@coppice/testing';
import type { TemporaryRepository } from '@coppice/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Stack } from '../support/stack.ts';

/** Tests that an error names the field, the expected and the received value, and that nothing is stored. */

let stack: Stack;
let repository: TemporaryRepository;
beforeAll(async () => {
  // No request of this test reaches a sandbox, so the stack needs no engine.
  stack = await Stack.start({ engine: 'none', script: 'default: { turns: [{ text: ok }] }' });
  await writeFile(path.join(stack.scriptsFolder, 'wrong.yaml'), 'default: { turns: [{ txt: ok }] }');
  repository = await temporaryRepository();
}, 180_000);
afterAll(async () => {
  await stack?.stop();
  await repository?.remove();
});

const task = (rest: object = {}) => ({
  name: 'one',
  description: 'Write one',
  prompt: 'write one',
  agent: { kind: 'prompt', file: 'one.txt' },
  model: 'scripted/plan.yaml',
  verify: 'true',
  ...rest,
});
const good = (rest: object = {}) => ({
  requestId: 'bad-input',
  repository: repository.path,
  baseBranch: 'main',
  tasks: [task()],
  ...rest,
});

async function refusalOf(
  payload: unknown,
): Promise<{ code: string; message: string; details?: { issues?: unknown[] } }> {
  const data = payload instanceof Uint8Array ? payload : new TextEncoder().encode(JSON.stringify(payload));
  const reply = await stack.bus.request(subjects.api('default', api.runSubmit.name), data, { deadlineMs: 10_000 });
  const body = JSON.parse(new TextDecoder().decode(reply.data)) as { error?: never };
  if (body.error === undefined) throw new Error(`accepted: ${JSON.stringify(body)}`);
  return body.error;
}

async function leftBehind(): Promise<string[]> {
  const left: string[] = [];
  for await (const key of stack.bus.keyValue(buckets.actors).keys()) left.push(key);
  for await (const message of stack.bus.read(streams.events, 'coppice.event.>')) left.push(message.subject);
  return left;
}

const cases: [what: string, payload: () => unknown, code: string, field: string, expected: RegExp, received: RegExp][] =
  [
    ['not JSON', () => new TextEncoder().encode('{nope'), 'invalid-request', '', /JSON/, /nope/],
    [
      'bytes that are not UTF-8',
      () => Buffer.from(JSON.stringify(good({ requestId: 'caf\u00e9' })), 'latin1'),
      'invalid-request',
      'requestId',
      /UTF-8/,
      /byte 0xe9 at line 1, column 18/,
    ],
    [
      'an unpaired surrogate',
      () => good({ requestId: 'half \ud83d' }),
      'invalid-request',
      'requestId',
      /Unicode/,
      /half \\ud83d/,
    ],
    [
      'a repeated field',
      () => Buffer.from(JSON.stringify(good()).replace('"name":"one"', '"name":"one","na\\u006de":"two"')),
      'invalid-request',
      'tasks[0].name',
      /once/,
      /again at line 1, column \d+/,
    ],
    [
      'an additional comma',
      () => Buffer.from('{"requestId":"x",\n  "tasks": [1, 2,]}'),
      'invalid-request',
      'tasks[2]',
      /JSON/,
      /\]\} at line 2, column 18/,
    ],
    [
      'more values than a request may have',
      () => good({ tasks: [task({ dependsOn: Array.from({ length: 100_001 }, () => 'x') })] }),
      'limit-exceeded',
      'tasks[0].dependsOn',
      /at most 100000 JSON values/,
      /more/,
    ],
    [
      'more levels than a request may have',
      () => Buffer.from(`{"tasks":[{"agent":${'['.repeat(200)}`),
      'limit-exceeded',
      'tasks[0].agent',
      /at most 128 levels/,
      /129/,
    ],
    [
      'more bytes than a request may have',
      () =>
        good({
          tasks: Array.from({ length: 15 }, (_, index) => task({ name: `t${index}`, prompt: 'x'.repeat(62_000) })),
        }),
      'limit-exceeded',
      'tasks',
      /at most 921600 bytes/,
      /93\d{4} bytes; the largest task is tasks\[\d+\]/,
    ],
    ['not an object', () => 7, 'invalid-request', '', /object/, /7/],
    ['an unknown field', () => good({ colour: 'red' }), 'invalid-request', 'colour', /no such field/, /red/],
    [
      'an unknown field of a task',
      () => good({ tasks: [task({ propmt: 'x' })] }),
      'invalid-request',
      'tasks[0].propmt',
      /no such field/,
      /x/,
    ],
    [
      'an unknown agent',
      () => good({ tasks: [task({ agent: { kind: 'wizard' } })] }),
      'invalid-request',
      'tasks[0].agent.kind',
      /prompt/,
      /wizard/,
    ],
    [
      'a missing prompt',
      () => good({ tasks: [{ ...task(), prompt: undefined }] }),
      'invalid-request',
      'tasks[0].prompt',
      /string/,
      /nothing/,
    ],
    ['no tasks', () => good({ tasks: [] }), 'invalid-request', 'tasks', /1/, /\[\]/],
    [
      'a limit out of range',
      () => good({ tasks: [task({ limits: { time: '99d' } })] }),
      'invalid-request',
      'tasks[0].limits.time',
      /between 1s and 24h/,
      /99d/,
    ],
    [
      'a limit that is not a duration',
      () => good({ tasks: [task({ limits: { time: 'soon' } })] }),
      'invalid-request',
      'tasks[0].limits.time',
      /10m/,
      /soon/,
    ],
    ['a concurrency of none', () => good({ concurrency: 0 }), 'invalid-request', 'concurrency', /1/, /0/],
    [
      'a file outside the repository',
      () => good({ tasks: [task({ agent: { kind: 'prompt', file: '../x' } })] }),
      'invalid-request',
      'tasks[0].agent.file',
      /inside|relative/,
      /\.\./,
    ],
    [
      'a file in .git',
      () => good({ tasks: [task({ agent: { kind: 'prompt', file: '.GIT/config' } })] }),
      'invalid-request',
      'tasks[0].agent.file',
      /outside \.git/,
      /GIT/,
    ],
    [
      'a description that would forge trailers',
      () => good({ tasks: [task({ description: 'x\n\nCoppice-Task: t' })] }),
      'invalid-request',
      'tasks[0].description',
      /one line/,
      /Coppice-Task/,
    ],
    [
      'more tasks than a run may have',
      () => good({ tasks: Array.from({ length: runLimits.tasksMax + 1 }, (_, index) => task({ name: `t${index}` })) }),
      'invalid-request',
      'tasks',
      /500/,
      /./,
    ],
    [
      'a prompt that is too large',
      () => good({ tasks: [task({ prompt: 'x'.repeat(runLimits.promptBytesMax + 1) })] }),
      'invalid-request',
      'tasks[0].prompt',
      /65536 bytes/,
      /xxx/,
    ],
    ['an unknown base branch', () => good({ baseBranch: 'mian' }), 'branch-not-found', 'baseBranch', /branch/, /mian/],
    [
      'no such repository',
      () => good({ repository: '/nowhere/at/all' }),
      'repository-not-found',
      'repository',
      /repository/,
      /nowhere/,
    ],
    [
      'a model whose script is missing',
      () => good({ tasks: [task({ model: 'scripted/absent.yaml' })] }),
      'invalid-request',
      'tasks[0].model',
      /there is no script absent\.yaml; there are .*plan\.yaml/,
      /scripted\/absent\.yaml/,
    ],
    [
      'a model whose script is malformed, as a default',
      () => good({ defaults: { model: 'scripted/wrong.yaml' }, tasks: [task({ model: undefined })] }),
      'invalid-request',
      'defaults.model',
      /wrong\.yaml:1: .*expected/,
      /scripted\/wrong\.yaml/,
    ],
    [
      'a model of an unknown provider',
      () => good({ tasks: [task(), task({ name: 'two', model: 'acme/large' })] }),
      'invalid-request',
      'tasks[1].model',
      /one of the providers scripted, openai/,
      /acme\/large/,
    ],
    [
      'a model of a provider without its key',
      () => good({ tasks: [task({ model: 'openai/large' })] }),
      'invalid-request',
      'tasks[0].model',
      /there is no key for openai: set OPENAI_API_KEY/,
      /openai\/large/,
    ],
    [
      'a dependency cycle',
      () => good({ tasks: [task({ dependsOn: ['one'] })] }),
      'invalid-request',
      'tasks[0].dependsOn',
      /no circle/,
      /one → one/,
    ],
  ];

describe('run.submit', () => {
  test.each(cases)('%s', async (_what, payload, code, field, expected, received) => {
    const error = await refusalOf(payload());
    expect(error.code).toBe(code);
    expect(error.message).toMatch(expected);
    const issue = error.details?.issues?.[0] as { field: string; expected: string; received: string };
    expect(issue.field).toBe(field);
    expect(issue.expected).toMatch(expected);
    expect(issue.received).toMatch(received);
    expect(await leftBehind()).toEqual([]);
  });

  test('the error for an unknown branch suggests a similar name', async () => {
    expect((await refusalOf(good({ baseBranch: 'mian' }))).message).toContain('main');
  });

  test('a payload that is larger than a message may be is rejected', async () => {
    const prompt = 'x'.repeat(60 * 1024);
    const tasks = Array.from({ length: 20 }, (_, index) => task({ name: `t${index}`, prompt }));
    await expect(stack.submit(good({ tasks }))).rejects.toMatchObject({ code: 'limit-exceeded' });
    expect(await leftBehind()).toEqual([]);
  });
});

describe('the durable intake', () => {
  test('a bad request becomes a dead letter with the reason, and an event for users who follow the run', async () => {
    const requestId = 'from-the-intake';
    await stack.bus.publish(subjects.intake('default'), { ...good({ requestId }), colour: 'red' });
    const runId = runIdOf('default', requestId);
    const events = await eventually(async () => {
      const found = await stack.runEvents(runId);
      return found.length > 0 ? found : null;
    });
    expect(events).toMatchObject([
      { type: 'coppice.run-refused', data: { requestId, failure: { code: 'invalid-request' } } },
    ]);
    const letters: unknown[] = [];
    for await (const letter of stack.bus.read(streams.deadLetters, subjects.deadLetter('intake', 'default')))
      letters.push(letter.json());
    expect(letters).toMatchObject([
      { reason: { code: 'invalid-request', message: expect.stringContaining('colour') } },
    ]);
  });

  test('a valid request becomes a run, the same run as by request and reply', async () => {
    const request = good({ requestId: 'twice' });
    await stack.bus.publish(subjects.intake('default'), request);
    const runId = runIdOf('default', 'twice');
    await stack.ended(runId);
    expect(await stack.submit(request)).toMatchObject({ runId, created: false });
    await expect(stack.submit({ ...request, concurrency: 2 })).rejects.toMatchObject({
      code: 'already-exists',
      details: { issues: [{ field: 'requestId' }] },
    });
  });
});

describe('while no gateway answers', () => {
  test('a run is accepted, and its model is only checked by the first model call', async () => {
    await stack.kill('llm-gateway');
    const { runId } = await stack.submit(
      good({ requestId: 'nobody', tasks: [task({ model: 'scripted/absent.yaml' })] }),
    );
    await stack.startService('llm-gateway');
    await stack.ended(runId);
    expect((await stack.tasks(runId)).get('one')).toMatchObject({
      state: 'failed',
      failure: { code: 'model-not-found', message: expect.stringContaining('there is no script absent.yaml') },
    });
  });
});

describe('what does not exist', () => {
  test.each([
    ['run.get', () => stack.run('raaaaaaaaaaaaaaaa')],
    ['task.get', () => stack.task('taaaaaaaaaaaaaaaa')],
    ['task.merge', () => stack.command('taskMerge', { taskId: 'taaaaaaaaaaaaaaaa' })],
    ['run.cancel', () => stack.cancelRun('raaaaaaaaaaaaaaaa')],
  ])('%s reports it', async (_method, call) => {
    const error: unknown = await call().catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(CoppiceError);
    expect(error).toMatchObject({ code: 'not-found', message: expect.stringMatching(/there is no (run|task) [rt]a+/) });
  });
});

import { spawn } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { api, runIdOf, streams, subjects } from '@coppice/contracts';
import { eventually, temporaryFolder, temporaryRepository } from '@coppice/testing';
import type { TemporaryFolder, TemporaryRepository } from '@coppice/testing';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { whyWithout } from '../support/engines.ts';
import { whyWithoutToolchain } from '../support/toolchains.ts';
import { Stack } from '../support/stack.ts';

/** Tests the example in Python, which uses no package of Coppice or NATS, against the whole stack. */

const program = path.resolve(import.meta.dirname, '../../examples/python/submit_and_follow.py');
const runMsMax = 100_000;
const script = `
rules:
  - { when: { contains: slowly }, turns: [{ text: "good\\n", latencyMs: 4000 }] }
default: { turns: [{ text: "good\\n" }] }
`;

const tenant = 'acme';
const withoutPython = await whyWithoutToolchain('python');
const withoutOpenssl = await whyWithoutToolchain('openssl');
const engine = (await whyWithout('bubblewrap')) === null ? 'bubblewrap' : 'none';

let stack: Stack | undefined;
let repository: TemporaryRepository | undefined;
let folder: TemporaryFolder | undefined;
beforeAll(async () => {
  if (withoutPython !== null) return;
  stack = await Stack.start({ engine, script, tenants: [tenant] });
  repository = await temporaryRepository();
  folder = await temporaryFolder('python');
}, 180_000);
afterAll(async () => {
  await stack?.stop();
  await repository?.remove();
  await folder?.remove();
});
beforeEach((context) => {
  if (withoutPython !== null) context.skip(withoutPython);
});

type Outcome = { exitCode: number | null; out: string[]; err: string[] };

/** By default the user has all permissions and logs in with a password. */
async function run(
  request: unknown,
  options: string[] = [],
  onLine: (line: string) => void = () => {},
  credentialsFile?: string,
) {
  if (stack === undefined || folder === undefined) throw new Error('the stack is not up');
  const { url, user, password } = stack.nats;
  const everything = path.join(folder.path, 'everything.json');
  const requestFile = path.join(folder.path, 'request.json');
  await writeFile(everything, JSON.stringify({ user, password }), { mode: 0o600 });
  await writeFile(requestFile, JSON.stringify(request));
  const positional = [url, credentialsFile ?? everything, requestFile];
  const child = spawn('python3', ['-I', program, ...options, ...positional], { timeout: runMsMax });
  const said: { out: string; err: string } = { out: '', err: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const before = said.out.split('\n').length - 1;
    said.out += text;
    for (const line of said.out.split('\n').slice(before, -1)) onLine(line);
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said.err += text));
  const { promise, resolve, reject } = Promise.withResolvers<number | null>();
  child.on('error', reject).on('close', resolve);
  const exitCode = await promise;
  const lines = (text: string) => text.split('\n').filter((line) => line !== '');
  return { exitCode, out: lines(said.out), err: lines(said.err) } satisfies Outcome;
}

const request = (requestId: string, rest: object = {}) => ({
  requestId,
  repository: repository?.path,
  baseBranch: 'main',
  tasks: [
    {
      name: requestId,
      description: `Write ${requestId}`,
      prompt: 'write',
      agent: { kind: 'prompt', file: `${requestId}.txt` },
      model: stack?.model,
      verify: 'ls *.txt',
      ...rest,
    },
  ],
});

const states = ['waiting', 'preparing', 'working', 'committing', 'verifying', 'landing', 'cleaning', 'merged'];
/** Removes the time and details such as the commit's id. */
const withoutDetails = (lines: string[]) => lines.map((line) => line.split(' ').slice(1, 3).join(' '));
const wholeLife = (name: string) => [
  'run-submitted',
  ...states.map(() => `task-state ${name}:`),
  `task-ended ${name}:`,
  'run-ended',
];

/** Checks that the printed times and types are those of the stored events, so that none is missing or repeated. */
async function expectWholeLife(requestId: string, outcome: Outcome): Promise<void> {
  const stored = (await stack?.events(runIdOf('default', requestId))) ?? [];
  expect(outcome.out.map((line) => line.split(' ').slice(0, 2))).toEqual(
    stored.map((event) => [event.time, event.type.replace('coppice.', '')]),
  );
  expect(withoutDetails(outcome.out).map((line) => line.replace(/^(run-\w+) .*/, '$1'))).toEqual(wholeLife(requestId));
  for (const [index, state] of states.entries()) expect(outcome.out[index + 1]).toMatch(new RegExp(` -> ${state}$`));
  expect(await repository?.show(`${requestId}.txt`)).toBe('good\n');
}

test('submits a run and follows it to the merge', { timeout: 120_000 }, async () => {
  const outcome = await run(request('python-one'));
  expect(outcome).toMatchObject({ exitCode: 0, err: [] });
  await expectWholeLife('python-one', outcome);
  // A repeated request doesn't create a new run, so the program prints all events of the run again.
  expect(await run(request('python-one'))).toEqual(outcome);
});

test("a tenant's user submits and follows a run with its key", { timeout: 120_000 }, async (context) => {
  if (withoutOpenssl !== null) context.skip(withoutOpenssl);
  const outcome = await run(request('python-key'), [], undefined, stack?.users.file(`tenant-${tenant}`));
  expect(outcome).toMatchObject({ exitCode: 0, err: [] });
  expect(withoutDetails(outcome.out).map((line) => line.replace(/^(run-\w+) .*/, '$1'))).toEqual(
    wholeLife('python-key'),
  );
  const runId = runIdOf(tenant, 'python-key');
  await expect(stack?.bus.call(api.runGet, { tenant }, { runId })).resolves.toMatchObject({ state: 'succeeded' });
});

test('a run is submitted by the durable intake, which gives no answer', { timeout: 120_000 }, async () => {
  const outcome = await run(request('python-intake'), ['--intake']);
  expect(outcome).toMatchObject({ exitCode: 0, err: [] });
  await expectWholeLife('python-intake', outcome);
});

test('a request with a message id waits in the intake while a service is down', { timeout: 120_000 }, async () => {
  await stack?.kill('worktree-service');
  // NATS clients can add a message id. The server drops a message with a known id as a duplicate. So a request that is
  // stored for later must not keep its id.
  await stack?.bus.publish(subjects.intake('default'), request('python-early'), { messageId: 'python-early' });
  const waiting = async () => {
    for await (const message of stack?.bus.browse(streams.intakeLater, subjects.intakeLater('default', '*')) ?? [])
      return message.subject;
    return null;
  };
  await eventually(waiting);
  await stack?.startService('worktree-service');
  const outcome = await run(request('python-early'), ['--intake']);
  expect(outcome).toMatchObject({ exitCode: 0, err: [] });
  await expectWholeLife('python-early', outcome);
});

test('no event is lost when the server restarts while the program follows a run', { timeout: 120_000 }, async () => {
  let restarted: Promise<void> | undefined;
  const outcome = await run(request('python-outage', { prompt: 'slowly' }), [], (line) => {
    if (line.includes('-> working')) restarted ??= stack?.nats.restart();
  });
  await restarted;
  expect(outcome.err.join('\n')).toMatch(/; trying again/);
  expect(outcome.exitCode).toBe(0);
  await expectWholeLife('python-outage', outcome);
});

test('the exit code and the output report a task that does not land', { timeout: 120_000 }, async () => {
  const outcome = await run(request('python-bad-verify', { verify: 'exit 3' }));
  expect(outcome.exitCode).toBe(1);
  expect(outcome.out.at(-2)).toMatch(/task-ended python-bad-verify: failed verify ended with exit code 3$/);
});

test.each([[[]], [['--intake']]])('an error names each wrong field (%j)', { timeout: 60_000 }, async (options) => {
  const outcome = await run(request(`python-refused${options.length}`), ['--bad', ...options]);
  expect(outcome.exitCode).toBe(2);
  expect(outcome.err).toEqual([
    expect.stringMatching(/^refused: invalid-request: run\.submit: tasks\[0\]\.prompt: expected string, received 7/),
    '  tasks[0].prompt: expected string, received 7',
    '  tasks[0].colour: expected no such field, received "red"',
  ]);
});

test('a user who may not connect gets the error at once', { timeout: 60_000 }, async () => {
  const file = path.join(folder?.path ?? '', 'wrong.json');
  await writeFile(file, JSON.stringify({ user: stack?.nats.user, password: 'not the password' }));
  const outcome = await run(request('python-nobody'), [], undefined, file);
  expect(outcome).toEqual({ exitCode: 3, out: [], err: ["NATS: 'Authorization Violation'"] });
});

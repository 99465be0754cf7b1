/** Tests the command line as a tenant's user, and the repositories that a tenant may use. */
import path from 'node:path';
import { Bus } from '@coppice/bus';
import {
  CoppiceError,
  api,
  coppiceEventSchema,
  runIdOf,
  noRun,
  streams,
  subjects,
  taskViewSchema,
} from '@coppice/contracts';
import type { CoppiceEvent } from '@coppice/contracts';
import { temporaryRepository } from '@coppice/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CommandLine } from '../support/command-line.ts';
import { Stack } from '../support/stack.ts';

const linesPrinted = 30_000;
const script = `
rules:
  - when: { contains: Fix sum }
    turns:
      - text: I look.
        toolCalls: [{ name: run, arguments: { command: "seq 1 ${linesPrinted}" } }]
      - toolCalls: [{ name: edit, arguments: { path: sum.txt, oldText: wrong, newText: right } }]
      - toolCalls: [{ name: finish, arguments: { summary: It is right now. } }]
  # The answer takes longer than everything else that its test starts.
  - when: { contains: slowly }
    turns: [{ text: "late\\n", latencyMs: 600000 }]
  - when: { contains: spoil }
    turns: [{ text: "bad\\n" }]
default: { turns: [{ text: "good\\n" }] }
`;
const check = `if grep -h bad *.txt; then seq 1 ${linesPrinted}; exit 3; fi\n`;
const printed = (): string => Array.from({ length: linesPrinted }, (_, index) => `${index + 1}\n`).join('');
const tenant = 'acme';
const runId = runIdOf(tenant, 'one');

let cli: CommandLine;
let stack: Stack;
beforeAll(async () => {
  cli = await CommandLine.create({ 'check.sh': check, 'sum.txt': 'wrong\n' });
  stack = await Stack.start({
    engine: 'none',
    script,
    tenants: [tenant, 'other'],
    environment: { COPPICE_ALLOWED_REPOSITORIES: JSON.stringify({ [tenant]: [cli.repository.path] }) },
  });
  await cli.write('plan.yaml', plan(cli.repository.path));
}, 180_000);
afterAll(async () => {
  await stack?.stop();
  await cli?.[Symbol.asyncDispose]();
}, 60_000);

function plan(repository: string): string {
  const one = (name: string, rest: object) => ({
    name,
    description: `Add ${name}`,
    prompt: 'do it',
    agent: { kind: 'prompt', file: `${name}.txt` },
    ...rest,
  });
  const approval = { protect: ['*.txt'] };
  // The prompt is too long for an event or an actor's value, so the object store contains it.
  const long = { prompt: `Fix sum.${' Please.'.repeat(1_000)}`, agent: { kind: 'loop' } };
  // JSON is also valid YAML.
  return JSON.stringify({
    repository,
    baseBranch: 'main',
    concurrency: 8,
    defaults: { model: `scripted/${path.join(stack.scriptsFolder, 'plan.yaml')}`, verify: 'sh check.sh' },
    tasks: [
      one('fix', long),
      one('spoilt', { prompt: 'spoil it' }),
      one('slow', { prompt: 'slowly' }),
      one('approved', approval),
      one('rejected', approval),
      one('merged', { merge: 'manual' }),
      one('discarded', { merge: 'manual' }),
    ],
  });
}

const user = (name = tenant) => ({
  NATS_URL: stack.nats.url,
  NATS_CREDENTIALS_FILE: stack.users.file(`tenant-${name}`),
});
const coppice = (...words: string[]) => cli.run(words, user());
/** Fails on any other exit code, with the command's error output. */
async function outputOf(exitCode: number, ...words: string[]): Promise<string> {
  const outcome = await coppice(...words);
  expect({ words, exitCode: outcome.exitCode, complaint: outcome.exitCode === exitCode ? '' : outcome.err }).toEqual({
    words,
    exitCode,
    complaint: '',
  });
  return outcome.out;
}
const of = (name: string) => `${runId}/${name}`;
const task = async (name: string) => taskViewSchema.parse(JSON.parse(await outputOf(0, 'show', of(name), '--json')));

describe("each command as a tenant's user, whose credentials file names the tenant", () => {
  test('run, cancel, and watch until a task waits for a user', { timeout: 180_000 }, async () => {
    expect(await outputOf(0, 'run', 'plan.yaml', '--request-id', 'one', '--detach')).toContain(
      `run ${runId} is submitted`,
    );
    await outputOf(0, 'cancel', of('slow'), '--reason', 'too slow');
    const out = await outputOf(4, 'watch', runId);
    expect(out).toMatch(/spoilt +failed/);
    expect(out).toMatch(/fix +merged/);
    expect(out).toMatch(/slow +cancelled/);
  });

  test('ls, show, trace', { timeout: 60_000 }, async () => {
    expect(await outputOf(0, 'ls')).toContain(runId);
    expect(await outputOf(0, 'show', runId)).toMatch(/approved +awaiting approval/);
    expect(await outputOf(0, 'show', of('fix'))).toMatch(/state +merged/);
    expect(await outputOf(0, 'trace', runId)).toMatch(/fix/);
  });

  test('logs, including texts from the object store, and replay', { timeout: 60_000 }, async () => {
    const out = await outputOf(0, 'logs', of('fix'));
    expect(out).toContain('I look.');
    expect(out).toMatch(/\| 1\n.*\| 2\n/s);
    const items = (await outputOf(0, 'logs', of('fix'), '--json')).trim().split('\n');
    const opening = items
      .map((line) => JSON.parse(line) as { kind: string; text: string })
      .find(({ kind }) => kind === 'message');
    expect(opening?.text).toContain(' Please.'.repeat(1_000));
    expect(await outputOf(0, 'logs', of('fix'), '-f')).toMatch(/fix +merged/);
    expect(await outputOf(0, 'replay', of('fix'))).toMatch(/^same: 3 turns/);
  });

  test('artifact: the complete log of a failed task, by the name that show prints', { timeout: 60_000 }, async () => {
    const shown = await outputOf(0, 'show', of('spoilt'));
    const [, name = ''] = /coppice artifact (log\/\S+)/.exec(shown) ?? [];
    expect(await outputOf(0, 'artifact', name)).toBe(`bad\n${printed()}`);
    const others = await cli.run(['artifact', name], user('other'));
    expect([others.exitCode, others.out]).toEqual([2, '']);
    expect(others.err).toContain('there is no artifact');
    expect((await coppice('artifact', 'log/acme')).err).toContain('expected the name of an artifact');
  });

  test("the error for a wrong state names the same state as the task's view", { timeout: 60_000 }, async () => {
    const views = await stack.bus.call(api.taskList, { tenant }, { runId, limit: 100 });
    const rejected = [
      ['fix', api.taskMerge, 'merged'],
      ['spoilt', api.taskApprove, 'failed'],
      ['approved', api.taskMerge, 'awaiting-approval'],
      ['merged', api.taskReject, 'ready'],
      ['slow', api.taskDiff, 'cancelled'],
    ] as const;
    for (const [name, method, state] of rejected) {
      const { taskId = '' } = views.tasks.find((each) => each.name === name) ?? {};
      const failure: unknown = await stack.bus
        .call<{ taskId: string }, unknown>(method, { tenant }, { taskId })
        .catch((error: unknown) => error);
      expect([name, failure]).toMatchObject([name, { code: 'conflict', details: { state } }]);
    }
  });

  test('diff, approve, reject, merge, discard', { timeout: 120_000 }, async () => {
    expect(await outputOf(0, 'diff', of('approved'))).toContain('+good');
    await outputOf(0, 'approve', of('approved'));
    await outputOf(0, 'reject', of('rejected'), '--reason', 'no');
    await outputOf(0, 'merge', of('merged'));
    await outputOf(0, 'discard', of('discarded'));
    // Some tasks of the ended run didn't land.
    expect(await outputOf(1, 'watch', runId)).toMatch(/merged +merged/);
    const again = stack.bus.call(api.runCancel, { tenant }, { runId });
    await expect(again).rejects.toMatchObject({ code: 'conflict', details: { state: 'failed' } });
    expect(await task('approved')).toMatchObject({ state: 'merged' });
    expect(await task('rejected')).toMatchObject({ state: 'discarded', reason: 'no' });
    expect(await cli.repository.show('merged.txt')).toBe('good\n');
  });

  test('watch of all runs', { timeout: 60_000 }, async () => {
    await using watching = cli.start(['watch'], user());
    await watching.waitForLine('Watching all runs: 0 running');
    expect(await watching.kill('SIGINT')).toMatchObject({ code: 130 });
    expect(watching.lines.map(({ text }) => text).join('\n')).not.toMatch(/ermission|coppice: /);
  });

  test('doctor reports what a tenant may not see', { timeout: 60_000 }, async () => {
    expect(await outputOf(0, 'doctor')).toContain("a tenant's user can't list them");
  });

  test('pull: landed and kept work as branches of the repository', { timeout: 60_000 }, async () => {
    const pull = async (name: string, branch: string, into = cli.repository.path) => {
      const outcome = await cli.run(['pull', of(name), '--branch', branch, '--into', into], user());
      expect([outcome.exitCode, outcome.err]).toEqual([0, '']);
      return outcome.out;
    };
    expect(await pull('merged', 'pulled')).toMatch(/ is \w{10}: the commit of merged, which has landed$/m);
    expect(await cli.repository.show('merged.txt', 'pulled')).toBe('good\n');
    expect(await pull('rejected', 'kept')).toMatch(/which has not landed$/m);
    expect(await cli.repository.show('rejected.txt', 'kept')).toContain('good');
    // This repository lacks the commits on which the work is based.
    await using other = await temporaryRepository();
    await pull('merged', 'whole', other.path);
    expect(await other.show('merged.txt', 'whole')).toBe('good\n');
  });

  test("a tenant can not pull another tenant's work", { timeout: 60_000 }, async () => {
    const outcome = await cli.run(['pull', of('merged'), '--branch', 'x'], user('other'), cli.repository.path);
    expect([outcome.exitCode, outcome.out]).toEqual([2, '']);
  });

  test('token is rejected, since only the operator may make tokens', { timeout: 60_000 }, async () => {
    const outcome = await coppice('token');
    expect(outcome).toMatchObject({ exitCode: 2, out: '' });
    expect(outcome.err).toContain('may not publish on coppice.call.llm-gateway');
  });

  test('the server rejects commands for another tenant', { timeout: 60_000 }, async () => {
    const outcome = await coppice('--tenant', 'other', 'ls');
    expect(outcome).toMatchObject({ exitCode: 2, out: '' });
    expect(outcome.err).toContain('may not publish on coppice.api.other.run.list');
  });

  test("the operator's user can read a tenant's logs", { timeout: 60_000 }, async () => {
    const environment = { NATS_URL: stack.nats.url, NATS_CREDENTIALS_FILE: stack.users.file('operator') };
    const outcome = await cli.run(['--tenant', tenant, 'logs', of('fix')], environment);
    expect([outcome.exitCode, outcome.err]).toEqual([0, '']);
    expect(outcome.out).toContain('I look.');
  });
});

describe('a request in the intake from which no run id can be derived', () => {
  test("is rejected, and its sender gets the event by the message's sequence number", { timeout: 60_000 }, async () => {
    const bus = await Bus.connect({
      servers: stack.nats.url,
      ...stack.users.credentials(`tenant-${tenant}`),
      name: 'test',
    });
    try {
      const { sequence } = await bus.publish(subjects.intake(tenant), { foo: 1 });
      const wanted = subjects.event(tenant, noRun, String(sequence), '*');
      const { value } = await bus.read(streams.events, wanted, { live: true })[Symbol.asyncIterator]().next();
      expect(coppiceEventSchema.parse(value?.json())).toMatchObject({
        type: 'coppice.intake-refused',
        data: { intakeSequence: sequence, failure: { code: 'invalid-request' } },
      });
    } finally {
      await bus.close();
    }
  });
});

describe('a repository that the tenant may not use', () => {
  const refusal = {
    code: 'permission-denied',
    retryable: false,
    message: expect.stringMatching(
      /^run\.submit: repository: expected a repository that tenant "acme" may use/,
    ) as string,
  };

  test('is rejected at once, with its place in the run file', { timeout: 60_000 }, async () => {
    await using elsewhere = await temporaryRepository();
    await cli.write('elsewhere.yaml', plan(elsewhere.path));
    const outcome = await coppice('run', 'elsewhere.yaml');
    expect(outcome).toMatchObject({ exitCode: 2, out: '' });
    expect(outcome.err).toMatch(/elsewhere\.yaml:1:\d+: repository: expected a repository that tenant "acme" may use/);
  });

  test('is rejected by the API and by the intake, also for a tenant without a list', { timeout: 60_000 }, async () => {
    await using elsewhere = await temporaryRepository();
    const bus = await Bus.connect({
      servers: stack.nats.url,
      ...stack.users.credentials(`tenant-${tenant}`),
      name: 'test',
    });
    const request = (requestId: string, repository: string) =>
      ({ ...(JSON.parse(plan(repository)) as object), requestId }) as never;
    try {
      for (const repository of [elsewhere.path, `${cli.repository.path}/../../absent`, 'https://example.invalid/x']) {
        const failure = await bus
          .call(api.runSubmit, { tenant }, request('by-api', repository))
          .catch((error: unknown) => error);
        expect(failure).toBeInstanceOf(CoppiceError);
        expect(failure).toMatchObject(refusal);
      }
      await bus.publish(subjects.intake(tenant), request('by-intake', elsewhere.path));
      const events: CoppiceEvent[] = [];
      const wanted = subjects.event(tenant, runIdOf(tenant, 'by-intake'), '*', '*');
      for await (const message of bus.read(streams.events, wanted, { live: true })) {
        events.push(coppiceEventSchema.parse(message.json()));
        break;
      }
      expect(events).toMatchObject([{ type: 'coppice.run-refused', data: { failure: refusal } }]);
      const unlisted = stack.bus.call(api.runSubmit, { tenant: 'other' }, request('unlisted', cli.repository.path));
      await expect(unlisted).rejects.toMatchObject({
        code: 'permission-denied',
        message: expect.stringContaining('tenant "other" may use none') as string,
      });
    } finally {
      await bus.close();
    }
  });
});

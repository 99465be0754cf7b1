import { describe, expect, test } from 'vitest';
import { commandPassed } from '../test-support/drive-task.ts';
import { DrivenMachine } from '../test-support/drive-machine.ts';
import { setupMachine } from './setup-machine.ts';
import type { SetupRequest } from './setup-machine.ts';

const request: SetupRequest = {
  owner: { tenant: 'default', runId: 'r1', taskId: 't1' },
  repository: '/r',
  setupKey: 'key',
  node: 'node1',
  baseCommit: 'a',
  run: 'npm ci',
  image: 'coppice/agent-runtime',
  network: 'full',
  timeLimitMs: 20_000,
};
const mounts = [{ source: '/somewhere', target: '/workspace', readOnly: false }];
const prepared = { status: 'prepared', mounts, node: 'node1' };
const sealed = { status: 'sealed' };

class Setup extends DrivenMachine<typeof setupMachine> {
  constructor(changes: Partial<SetupRequest> = {}) {
    super(setupMachine, { kind: 'setup', id: 'default.key', now: 0, input: { ...request, ...changes } });
  }

  want(...tasks: string[]): this {
    for (const task of tasks) this.send({ type: 'want', effectId: task, replyTo: { kind: 'task', id: task } });
    return this;
  }

  unwant(task: string): this {
    return this.send({ type: 'unwant', effectId: task });
  }

  ran(changes: object = {}): this {
    return this.done('prepareSetup', prepared).done('run', { ...commandPassed, ...changes });
  }

  /** The answered requests, each with `done` or the error's message. */
  get answered(): [task: string, answer: string][] {
    return this.answers.map(({ effectId, outcome }) => [
      effectId,
      outcome.status === 'failed' ? outcome.error.message : outcome.status,
    ]);
  }
}

test('a setup that no task wants runs nothing', () => {
  expect(new Setup().started).toEqual([]);
});

test('the command runs once on the base tree, and every task that waits gets the sealed result', () => {
  const setup = new Setup().want('t1', 't2').done('prepareSetup', prepared);
  expect(setup.inputs['prepareSetup']).toMatchObject({ baseCommit: 'a', attempt: 1, setupKey: 'key' });
  expect(setup.inputs['run']).toMatchObject({
    specification: { sandboxId: 'setup-key-1', network: 'full', mounts, image: 'coppice/agent-runtime' },
    command: { shell: 'npm ci', timeLimitMs: 20_000 },
  });
  setup.want('t3').done('run', commandPassed);
  expect(setup.answered).toEqual([]);
  setup.done('sealSetup', { files: 3 });
  expect(setup.answered).toEqual([
    ['t1', 'done'],
    ['t2', 'done'],
    ['t3', 'done'],
  ]);
  expect(setup.started).toEqual(['prepareSetup', 'run', 'sealSetup']);
});

describe('a task that wants a sealed setup', () => {
  const done = () => new Setup().want('t1').ran().done('sealSetup', { files: 3 });

  test('gets it without another run of the command', () => {
    const setup = done().want('t2').done('prepareSetup', sealed);
    expect(setup.answered).toEqual([
      ['t1', 'done'],
      ['t2', 'done'],
    ]);
    expect(setup.started.filter((name) => name === 'run')).toHaveLength(1);
  });

  test('waits for another run if the result was removed in between', () => {
    const setup = done().want('t2').done('prepareSetup', prepared);
    expect(setup.state).toBe('running');
    expect(setup.inputs['run']).toMatchObject({ specification: { sandboxId: 'setup-key-2' } });
  });
});

describe('a command that fails', () => {
  test.each([
    [{ exitCode: 1, standardError: 'no such package\n', logArtifact: 'log/1' }, 'setup ended with exit code 1'],
    [{ exitCode: null, timedOut: true }, 'setup took too long'],
  ])('fails every waiting task, after its tree is removed: %j', (result, message) => {
    const setup = new Setup().want('t1', 't2').ran(result);
    expect([setup.state, setup.answered]).toEqual(['discarding', []]);
    setup.done('discardSetup', {});
    expect(setup.answered).toEqual([
      ['t1', message],
      ['t2', message],
    ]);
    expect(setup.state).toBe('idle');
  });

  test("reports the command's output, and isn't retryable", () => {
    const setup = new Setup().want('t1').ran({ exitCode: 1, standardError: 'no such package\n', logArtifact: 'log/1' });
    setup.done('discardSetup', {});
    expect(setup.answers[0]?.outcome).toEqual({
      status: 'failed',
      error: {
        code: 'sandbox-failed',
        message: 'setup ended with exit code 1',
        retryable: false,
        details: { logTail: 'no such package', logArtifact: 'log/1' },
      },
    });
  });

  test('runs again on a fresh tree when another task wants it, and only that task gets the new answer', () => {
    const setup = new Setup().want('t1').ran({ exitCode: 1 }).done('discardSetup', {}).want('t2');
    expect(setup.inputs['prepareSetup']).toMatchObject({ attempt: 2 });
    setup.ran().done('sealSetup', { files: 3 });
    expect(setup.answered.at(-1)).toEqual(['t2', 'done']);
    expect(setup.answered).toHaveLength(2);
  });

  test('reports its failure even if its tree can’t be removed', () => {
    const setup = new Setup().want('t1').ran({ exitCode: 1 }).failed('discardSetup');
    expect(setup.answered).toEqual([['t1', 'setup ended with exit code 1']]);
  });
});

describe('an attempt without a result', () => {
  test.each([
    ['prepareSetup', (setup: Setup) => setup],
    ['run', (setup: Setup) => setup.done('prepareSetup', prepared)],
    ['sealSetup', (setup: Setup) => setup.ran()],
  ])('is repeated on a fresh tree when %s is lost', (lost, reach) => {
    const setup = reach(new Setup().want('t1')).failed(lost, { code: 'unknown', retryable: false });
    expect([setup.state, setup.answered]).toEqual(['discarding', []]);
    setup.done('discardSetup', {});
    expect(setup.inputs['prepareSetup']).toMatchObject({ attempt: 2 });
    setup.ran().done('sealSetup', { files: 1 });
    expect(setup.answered).toEqual([['t1', 'done']]);
  });

  test('is made three times, then every task gets the last error', () => {
    const setup = new Setup().want('t1', 't2');
    for (const attempt of [1, 2, 3]) {
      expect(setup.inputs['prepareSetup']).toMatchObject({ attempt });
      setup.failed('prepareSetup', { message: `lost ${attempt}` }).done('discardSetup', {});
    }
    expect(setup.answered).toEqual([
      ['t1', 'lost 3'],
      ['t2', 'lost 3'],
    ]);
  });

  test("isn't repeated after a permanent error", () => {
    const setup = new Setup().want('t1').done('prepareSetup', prepared);
    setup.failed('run', { code: 'image-not-found', message: 'no image', retryable: false }).done('discardSetup', {});
    expect([setup.state, setup.answered]).toEqual(['idle', [['t1', 'no image']]]);
  });

  test('starts a new count for the next task', () => {
    const setup = new Setup().want('t1');
    for (let attempts = 0; attempts < 3; attempts++) setup.failed('prepareSetup').done('discardSetup', {});
    setup.want('t2').failed('prepareSetup').done('discardSetup', {});
    expect([setup.state, setup.answered]).toEqual(['preparing', [['t1', 'no']]]);
  });
});

describe('a task that no longer wants the setup', () => {
  test('gets no answer, and the others get theirs', () => {
    const setup = new Setup().want('t1', 't2').unwant('t1').ran().done('sealSetup', { files: 1 });
    expect(setup.answered).toEqual([['t2', 'done']]);
  });

  test("doesn't stop a running setup, since its result can be used later", () => {
    const setup = new Setup().want('t1').done('prepareSetup', prepared).unwant('t1').done('run', commandPassed);
    setup.done('sealSetup', { files: 1 });
    expect([setup.state, setup.answered]).toEqual(['sealed', []]);
  });
});

test('a thousand tasks may wait; the next request is rejected, and may be retried', () => {
  const setup = new Setup().want(...Array.from({ length: 1_001 }, (_, index) => `t${index}`));
  expect(setup.answers).toMatchObject([
    { effectId: 't1000', outcome: { error: { code: 'limit-exceeded', retryable: true } } },
  ]);
});

test('a request of an earlier version, without a node, runs on the node that prepares it', () => {
  const { node: _, ...old } = request;
  const setup = new DrivenMachine(setupMachine, { kind: 'setup', id: 'default.key', now: 0, input: old });
  expect(setup.context.node).toBeNull();
  setup.send({ type: 'want', effectId: 't1', replyTo: { kind: 'task', id: 't1' } }).done('prepareSetup', prepared);
  expect(setup.context.node).toBe('node1');
});

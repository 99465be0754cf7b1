import { describe, expect, test } from 'vitest';
import { DrivenTask, goodResults } from '../../../test-support/drive-task.ts';

const setup = { run: 'npm ci', inputs: ['package-lock.json'] };

test('a task without a setup starts with its worktree, then its sandbox, then its agent', () => {
  const task = new DrivenTask().send({ type: 'start' });
  expect(task.state).toBe('preparing.worktree');
  expect(task.context).toMatchObject({ worktreeOpen: true, sandboxOpen: false, node: null });
  task.done('prepare');
  expect(task.state).toBe('preparing.sandbox');
  expect(task.context).toMatchObject({ sandboxOpen: true, node: 'node1', branch: 'coppice/t1/one', baseCommit: 'a' });
  task.done('createSandbox');
  expect(task.state).toBe('working.prompt.asking');
});

describe('the setup of a task', () => {
  test('is shared by tasks with the same inputs; another command, tenant or node has its own', () => {
    const keyOf = (run: string, resolved: object = {}) => {
      const task = new DrivenTask({ setup: { ...setup, run } }).until('resolveSetup');
      task.done('resolveSetup', { ...(goodResults['resolveSetup'] as object), ...resolved });
      return task.inputs['setup']?.['setupKey'];
    };
    expect(keyOf('npm ci')).toBe(keyOf('npm ci'));
    expect(keyOf('npm ci')).toBe(keyOf('npm ci', { baseCommit: 'another' }));
    const others = [keyOf('npm install'), keyOf('npm ci', { inputsHash: 'other' }), keyOf('npm ci', { node: 'node2' })];
    expect(new Set([keyOf('npm ci'), ...others]).size).toBe(4);
  });

  test('runs on the node that resolved it, and is copied into the worktree', () => {
    const task = new DrivenTask({ setup, network: { setup: 'full', agent: 'none', verify: 'none' } }).until('setup');
    expect(task.inputs['resolveSetup']).toMatchObject({ inputs: ['package-lock.json'], baseBranch: 'main' });
    expect(task.inputs['setup']).toMatchObject({ node: 'node1', run: 'npm ci', network: 'full', baseCommit: 'a' });
    task.done('setup');
    expect(task.inputs['prepare']).toMatchObject({ setupKey: task.context.setup?.setupKey, slug: 'write-one' });
  });

  test('that fails ends the task with the output of the command', () => {
    const details = { logTail: 'no such package', logArtifact: 'log/1' };
    const task = new DrivenTask({ setup }).until('setup');
    task.failed('setup', {
      code: 'sandbox-failed',
      message: 'setup ended with exit code 1',
      retryable: false,
      details,
    });
    expect(task.context).toMatchObject({
      end: 'failed',
      reason: 'setup ended with exit code 1',
      logTail: 'no such package',
      logArtifact: 'log/1',
    });
    expect(task.state).toBe('ended');
  });
});

describe('a step that fails', () => {
  test('is retried three times; then the task ends and its worktree is removed', () => {
    const task = new DrivenTask().until('prepare');
    for (const retries of [1, 2, 3]) {
      task.failed('prepare', { code: 'git-failed', message: 'locked' });
      expect([task.state, task.context.retries]).toEqual(['preparing.worktree', retries]);
    }
    task.failed('prepare', { code: 'git-failed', message: 'locked' });
    expect(task.state).toBe('cleaning.worktree');
    expect(task.context).toMatchObject({ end: 'failed', reason: 'locked', failure: { code: 'git-failed' } });
  });

  test('gets its full number of tries after a success in between', () => {
    const task = new DrivenTask().until('prepare').failed('prepare').failed('prepare').done('prepare');
    expect(task.context.retries).toBe(0);
  });
});

describe('a cancellation', () => {
  test('waits for the worktree that is being created, so that it can be removed', () => {
    const task = new DrivenTask().until('prepare').send({ type: 'cancel', reason: 'enough' });
    expect([task.state, task.context.end]).toEqual(['preparing.worktree', 'cancelled']);
    task.done('prepare');
    expect(task.state).toBe('cleaning.worktree');
    expect(task.context).toMatchObject({ node: 'node1', reason: 'enough' });
  });

  test("leaves a setup at once, since the setup isn't the task's own and others may want it", () => {
    const task = new DrivenTask({ setup }).until('setup').send({ type: 'cancel' });
    expect(task.state).toBe('ended');
    expect(task.context).toMatchObject({ end: 'cancelled', reason: 'cancelled on request' });
  });
});

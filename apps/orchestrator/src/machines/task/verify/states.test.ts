import { describe, expect, test } from 'vitest';
import { DrivenTask, commandPassed, goodResults, mergedInStore } from '../../../test-support/drive-task.ts';

const result = (changes: object) => ({ ...commandPassed, ...changes });
const verifying = (specification: ConstructorParameters<typeof DrivenTask>[0] = {}) =>
  new DrivenTask(specification).until('verify');

test('the merged tree is verified in its own sandbox, with the network settings of the verification', () => {
  const task = verifying({ network: { setup: 'none', agent: 'none', verify: 'full' } });
  expect(task.inputs['prepareMerge']).toMatchObject({ taskCommit: 'b', checkout: { when: 'always' } });
  expect(task.inputs['verify']).toMatchObject({
    specification: { sandboxId: 't1-verify-1', network: 'full', mounts: [{ target: '/workspace' }] },
    command: { shell: 'sh check.sh' },
  });
  task.done('verify');
  expect(task.context.verifiedTree).toBe('d');
  expect(task.state).toBe('landing.queueing');
});

test('a setup whose inputs the merge changes runs again, before the command', () => {
  const task = new DrivenTask({ setup: { run: 'npm ci', inputs: ['a'] } }).until('prepareMerge');
  task.done('prepareMerge', { ...mergedInStore, checkout: { mounts: [], setupIsCurrent: false } });
  expect(task.inputs['verify']).toMatchObject({ command: { shell: '( npm ci\n) && ( sh check.sh\n)' } });
});

describe('a verification that fails ends the task, with a reason', () => {
  test.each([
    [{ exitCode: 3 }, 'failed', 'verify ended with exit code 3'],
    [{ exitCode: null, signal: 'SIGSEGV' }, 'failed', 'verify was ended by SIGSEGV'],
    [{ exitCode: 137, outOfMemory: true }, 'failed', 'verify used more memory than its sandbox has'],
    [{ exitCode: 0, timedOut: true }, 'timed-out', 'verify took longer than 20 s'],
  ])('%j', (changes, end, reason) => {
    const task = verifying().done('verify', result({ ...changes, logArtifact: 'log/1' }));
    expect(task.context).toMatchObject({ end, reason, logArtifact: 'log/1', verifiedTree: null });
    expect(task.state).toBe('cleaning.worktree');
  });

  test('and with the last lines of its output, at most 40', () => {
    const lines = Array.from({ length: 60 }, (_, index) => `line ${index}`);
    const task = verifying().done('verify', result({ exitCode: 1, standardOutput: lines.join('\n') }));
    expect(task.context.logTail?.split('\n')).toEqual(lines.slice(20));
  });
});

describe('a verification without a result', () => {
  test('is repeated with a new merge, three times', () => {
    const task = verifying();
    for (const verifyRetries of [1, 2, 3]) {
      task.failed('verify', { code: 'unknown', retryable: false });
      expect([task.state, task.context.verifyRetries]).toEqual(['verifying.merging', verifyRetries]);
      task.done('prepareMerge');
    }
    expect(task.inputs['verify']).toMatchObject({ specification: { sandboxId: 't1-verify-4' } });
    task.failed('verify', { code: 'unknown', message: 'lost', retryable: false });
    expect(task.context).toMatchObject({ end: 'failed', reason: 'lost' });
  });

  test("isn't repeated after a permanent error", () => {
    const task = verifying().failed('verify', { code: 'image-not-found', retryable: false });
    expect(task.context).toMatchObject({ end: 'failed', failure: { code: 'image-not-found' } });
  });
});

describe('a merge', () => {
  test('with a conflict ends the task, and names the files and who changed them', () => {
    const landed = [{ path: 'a.txt', commits: [{ commit: '7', subject: 'feat: other' }] }];
    const task = new DrivenTask().until('prepareMerge');
    task.done('prepareMerge', { status: 'conflict', tip: '2', paths: ['a.txt', 'b.txt'], landed });
    expect(task.context).toMatchObject({
      end: 'failed',
      reason: 'conflicts with main in a.txt, b.txt',
      failure: { code: 'merge-conflict', details: { branch: 'main', tip: '2', paths: ['a.txt', 'b.txt'], landed } },
    });
  });

  test('that is already on the target ends the task without changes', () => {
    const task = new DrivenTask().until('prepareMerge').done('prepareMerge', { status: 'already-merged', tip: '2' });
    expect(task.context).toMatchObject({ end: 'no-changes', reason: 'main holds this change already' });
  });

  test('that needs no verification creates no checkout', () => {
    const task = new DrivenTask({ verify: false }).until('prepareMerge');
    expect(task.inputs['prepareMerge']).toMatchObject({ checkout: { when: 'never' } });
    task.done('prepareMerge', { ...mergedInStore, checkout: null });
    expect([task.state, task.context.verifiedTree]).toEqual(['landing.queueing', null]);
  });
});

test('protected paths of the commit and of the merge wait for an approval, each listed once', () => {
  const task = new DrivenTask().until('commit');
  task.done('commit', { ...(goodResults['commit'] as object), protectedPaths: ['ci.yml'] });
  task.done('prepareMerge', {
    ...(goodResults['prepareMerge'] as object),
    protectedPaths: ['ci.yml', 'package.json'],
  });
  task.done('verify');
  expect(task.state).toBe('awaiting-approval');
  expect(task.context.reason).toBe('changes protected paths: ci.yml, package.json');
  expect(task.sent.at(-1)).toMatchObject({ kind: 'run', event: { type: 'task-idle', taskId: 't1' } });
});

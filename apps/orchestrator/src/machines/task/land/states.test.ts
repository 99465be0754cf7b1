import { describe, expect, test } from 'vitest';
import { DrivenTask, commandPassed, goodResults, mergedInStore } from '../../../test-support/drive-task.ts';

const landing = (specification: ConstructorParameters<typeof DrivenTask>[0] = {}) =>
  new DrivenTask(specification).until('takeTurn');
const released = { kind: 'landing', event: { type: 'release', turn: 'slot' } };
const checkout = { mounts: [], setupIsCurrent: true };

describe('a task that holds the landing slot', () => {
  test('without waiting for it lands the verified merge as it is', () => {
    const task = landing().done('takeTurn');
    expect(task.inputs['land']).toMatchObject({ targetBranch: 'main', expectedTip: '1', commit: 'c' });
    task.done('land');
    expect(task.context).toMatchObject({ end: 'merged', landedCommit: 'c', landingAttempts: 0, turn: null });
    expect(task.sent).toContainEqual(expect.objectContaining(released));
  });

  test('after waiting for others makes a new merge, and lands it if its tree is the verified one', () => {
    const task = landing().done('takeTurn', { turn: 'slot', waited: true });
    expect(task.inputs['prepareLanding']).toMatchObject({ checkout: { when: 'tree-differs-from', tree: 'd' } });
    task.done('prepareLanding');
    expect(task.state).toBe('landing.moving');
  });

  test('verifies a different tree before it lands; a failed verification ends the task', () => {
    const other = { ...mergedInStore, tree: 'e', tip: '2', commit: 'f', checkout };
    const task = landing().done('takeTurn', { turn: 'slot', waited: true }).done('prepareLanding', other);
    expect(task.state).toBe('landing.verifying');
    const failing = landing().done('takeTurn', { turn: 'slot', waited: true }).done('prepareLanding', other);
    failing.done('verifyLanding', { ...commandPassed, exitCode: 1 });
    expect(failing.context).toMatchObject({ end: 'failed', landedCommit: null, turn: null });
    task.done('verifyLanding');
    expect(task.context.verifiedTree).toBe('e');
    expect(task.inputs['land']).toMatchObject({ expectedTip: '2', commit: 'f' });
  });

  test('gives up after the target has moved eight times', () => {
    const task = landing().done('takeTurn');
    for (let moves = 0; moves < 8; moves++) {
      task.done('land', { status: 'moved', tip: '9' });
      expect(task.state).toBe('landing.merging');
      task.done('prepareLanding');
    }
    task.done('land', { status: 'moved', tip: '9' });
    expect(task.context).toMatchObject({
      end: 'failed',
      reason: 'the target branch moved 8 times while this task was landing',
    });
    expect(task.sent.filter(({ event }) => event.type === 'release')).toHaveLength(1);
  });

  test('waits for an approval when the new merge changes protected paths, and releases the slot', () => {
    const task = landing().done('takeTurn', { turn: 'slot', waited: true });
    task.done('prepareLanding', { ...mergedInStore, protectedPaths: ['ci.yml'], checkout });
    expect(task.state).toBe('awaiting-approval');
    expect(task.sent).toContainEqual(expect.objectContaining(released));
    task.send({ type: 'approve' });
    expect([task.state, task.context.approvedPaths]).toEqual(['landing.queueing', ['ci.yml']]);
  });

  test('reports a landing that a person must finish, with the command', () => {
    const finishCommand = 'git merge refs/coppice/landed/t1';
    const pending = { status: 'landed-pending', commit: 'c', reason: 'the checkout has changes', finishCommand };
    const task = landing().done('takeTurn').done('land', pending);
    expect(task.context).toMatchObject({ end: 'landed-pending', landedCommit: 'c', finishCommand });
    expect(task.context.reason).toBe('the checkout has changes');
  });
});

describe('a cancellation during the landing', () => {
  test('leaves the queue at once', () => {
    const task = landing().send({ type: 'cancel' });
    expect([task.state, task.context.end]).toEqual(['cleaning.worktree', 'cancelled']);
  });

  test('has no effect once the branch is being moved', () => {
    const task = landing().done('takeTurn').send({ type: 'cancel' });
    expect([task.state, task.context.end]).toEqual(['landing.moving', 'cancelled']);
    task.done('land');
    expect(task.context).toMatchObject({ end: 'merged', reason: null, landedCommit: 'c' });
  });

  test('stops a task whose target has moved', () => {
    const task = landing().done('takeTurn').send({ type: 'cancel' }).done('land', { status: 'moved', tip: '9' });
    expect([task.state, task.context.end]).toEqual(['cleaning.worktree', 'cancelled']);
  });
});

describe('a task that waits for you', () => {
  test('lands on `merge`; the reason shows whether it is verified', () => {
    expect(new DrivenTask({ merge: 'manual' }).until('ready').context.reason).toMatch(/^verified; /);
    const task = new DrivenTask({ merge: 'manual', verify: false }).until('ready');
    expect(task.context.reason).toMatch(/^not verified; /);
    task.send({ type: 'merge' });
    expect([task.state, task.context.reason]).toEqual(['landing.queueing', null]);
  });

  test('is discarded, with or without its branch', () => {
    for (const keepBranch of [true, false]) {
      const task = new DrivenTask({ merge: 'manual' }).until('ready').send({ type: 'discard', keepBranch });
      expect(task.context).toMatchObject({ end: 'discarded', reason: 'discarded on request', keepBranch });
      expect(task.inputs['removeWorktree']).toMatchObject({ keepBranch });
    }
  });

  test('continues by its merge mode after an approval, or ends with a rejection', () => {
    const awaiting = (merge: 'auto' | 'manual' | 'branch') => {
      const task = new DrivenTask({ merge }).until('commit');
      task.done('commit', { ...(goodResults['commit'] as object), protectedPaths: ['ci.yml'] });
      return task.until('awaiting-approval');
    };
    expect(awaiting('auto').send({ type: 'approve' }).state).toBe('landing.queueing');
    expect(awaiting('manual').send({ type: 'approve' }).state).toBe('ready');
    expect(awaiting('branch').send({ type: 'approve' }).state).toBe('pushing.branch');
    const rejected = awaiting('auto').send({ type: 'reject', reason: 'not this way' });
    expect(rejected.context).toMatchObject({ end: 'discarded', reason: 'not this way', keepBranch: false });
  });

  test('names as many protected paths as fit into a sentence', () => {
    const task = new DrivenTask().until('commit');
    const protectedPaths = Array.from({ length: 50 }, (_, index) => `folder/file-${index}.yml`);
    task.done('commit', { ...(goodResults['commit'] as object), protectedPaths }).until('awaiting-approval');
    expect(task.context.reason).toMatch(/^changes protected paths: folder\/file-0\.yml, .* and others; `coppice show`/);
    expect(task.context.reason?.length).toBeLessThanOrEqual(500);
  });
});

test('a branch is pushed without a landing slot', () => {
  const task = new DrivenTask({ merge: 'branch' }).until('pushBranch');
  expect(task.inputs['pushBranch']).toMatchObject({ branch: 'coppice/t1/one', commit: 'b' });
  task.done('pushBranch');
  expect([task.context.end, task.inputs['takeTurn']]).toEqual(['branch-pushed', undefined]);
});

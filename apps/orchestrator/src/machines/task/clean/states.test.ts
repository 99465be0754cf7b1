import { expect, test } from 'vitest';
import { DrivenTask } from '../../../test-support/drive-task.ts';

const cancelledAtWork = () => new DrivenTask().until('turn').send({ type: 'cancel', reason: 'enough' });

test('the sandbox is removed before the worktree, then the run is notified of the end', () => {
  const task = cancelledAtWork();
  expect(task.state).toBe('cleaning.sandbox');
  task.done('removeSandbox');
  expect([task.state, task.context.sandboxOpen]).toEqual(['cleaning.worktree', false]);
  task.done('removeWorktree', { rescue: 'refs/coppice/rescue/t1' });
  expect(task.state).toBe('ended');
  expect(task.context).toMatchObject({ end: 'cancelled', worktreeOpen: false, rescue: 'refs/coppice/rescue/t1' });
  expect(task.sent.at(-1)).toMatchObject({
    kind: 'run',
    id: 'default.r1',
    event: { type: 'task-ended', taskId: 't1', state: 'cancelled', reason: 'enough' },
  });
});

test('a sandbox that can’t be removed keeps the worktree, and the reason says so', () => {
  const task = cancelledAtWork();
  for (let tries = 0; tries < 4; tries++) task.failed('removeSandbox', { message: 'the engine is gone' });
  expect(task.state).toBe('ended');
  expect(task.inputs['removeWorktree']).toBeUndefined();
  expect(task.context).toMatchObject({
    end: 'cancelled',
    worktreeOpen: true,
    reason: 'enough; its sandbox could not be removed: the engine is gone',
  });
});

test("a worktree that can’t be removed doesn't change the task’s end", () => {
  const task = new DrivenTask().until('removeWorktree');
  task.failed('removeWorktree', { message: 'busy', retryable: false });
  expect(task.context).toMatchObject({ end: 'merged', reason: 'its worktree could not be removed: busy' });
});

test('a task that never started has nothing to remove', () => {
  const task = new DrivenTask().send({ type: 'skip', reason: 'depends on zero, which ended as failed' });
  expect([task.state, task.invocation]).toEqual(['ended', '']);
  expect(task.context).toMatchObject({ end: 'failed', reason: 'depends on zero, which ended as failed' });
});

import { expect, test } from 'vitest';
import { DrivenTask } from '../../../test-support/drive-task.ts';

test('the sandbox is removed before the worktree is read', () => {
  const task = new DrivenTask().until('closeSandbox');
  expect(task.inputs['commit']).toBeUndefined();
  task.done('closeSandbox');
  expect(task.context.sandboxOpen).toBe(false);
  expect(task.inputs['commit']).toMatchObject({
    message: { type: 'feat', scope: null, description: 'Write one', body: null, date: '1970-01-01T00:16:40.000Z' },
  });
});

test('a task whose agent changed nothing ends; the reason counts files that ignore rules leave out', () => {
  const reasonOf = (ignored: number) =>
    new DrivenTask().until('commit').done('commit', { status: 'no-changes', ignored }).context;
  expect(reasonOf(0)).toMatchObject({ end: 'no-changes', reason: 'the agent changed nothing' });
  expect(reasonOf(1).reason).toBe('the agent changed nothing but 1 new file that ignore rules leave out');
  expect(reasonOf(3).reason).toBe('the agent changed nothing but 3 new files that ignore rules leave out');
});

test('a commit that was in progress when the task was cancelled is not verified', () => {
  const task = new DrivenTask().until('commit').send({ type: 'cancel' });
  expect(task.state).toBe('committing.importing');
  task.done('commit');
  expect([task.state, task.context.commit]).toEqual(['cleaning.worktree', 'b']);
});

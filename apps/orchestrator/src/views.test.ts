import type { ActorView } from '@coppice/durable-actor';
import { describe, expect, test } from 'vitest';
import type { RunContext, RunTask } from './machines/run-machine.ts';
import { newTask } from './machines/task/new-task.ts';
import type { TaskContext } from './machines/task/task-context.ts';
import { taskInput } from './test-support/task-input.ts';
import { livingTasks, pendingTasks, runListed, runView, taskCounts, taskSummary, taskView } from './views.ts';

const usage = { inputTokens: 10, outputTokens: 5, costUsd: 0.5 };

const viewOf = (context: object, changes: Partial<ActorView> = {}): ActorView => ({
  kind: 'task',
  id: 'default.t1',
  revision: 1,
  status: 'active',
  value: null,
  state: '',
  context,
  output: null,
  summary: null,
  parked: null,
  createdAt: '2026-01-01T00:00:00.000Z',
  updatedAt: '2026-01-01T00:00:01.000Z',
  ...changes,
});
const task = (changes: Partial<TaskContext> = {}): TaskContext => ({ ...newTask(taskInput(), 1_000), ...changes });
const run = (states: RunTask['state'][], changes: Partial<RunContext> = {}): RunContext => ({
  tenant: 'default',
  runId: 'r1',
  requestId: 'q',
  requestHash: 'h',
  repository: '/r',
  baseBranch: 'main',
  concurrency: 2,
  specificationArtifact: 'a',
  createdAtMs: 1_000,
  endedAtMs: null,
  cancelReason: null,
  failure: null,
  retries: 0,
  tasks: states.map((state, index) => ({ taskId: `t${index}`, name: `n${index}`, dependsOn: [], state, reason: null })),
  ...changes,
});

describe('a task', () => {
  test('at work has no time of its end, and an ended one has', () => {
    expect(taskView(viewOf(task({ state: 'working', enteredAtMs: 5_000 })))).toMatchObject({
      state: 'working',
      createdAt: '1970-01-01T00:00:01.000Z',
      updatedAt: '2026-01-01T00:00:01.000Z',
      endedAt: null,
    });
    const ended = viewOf(task({ state: 'merged', enteredAtMs: 5_000 }), { status: 'done' });
    expect(taskView(ended).endedAt).toBe('1970-01-01T00:00:05.000Z');
  });

  test('that has ended is read from its summary, which keeps what a user sees', () => {
    const context = task({ state: 'failed', reason: 'no', logTail: 'line', usage, content: { text: 'x' } });
    const ended = viewOf(task(), { context: null, summary: taskSummary(context), status: 'done' });
    const living = viewOf(context, { status: 'done' });
    expect(taskView(ended)).toEqual(taskView(living));
  });

  test('that has ended keeps nothing that only its work needed', () => {
    const mounts = [{ source: '/s', target: '/t', readOnly: false }];
    const kept = taskSummary(task({ mounts, content: { text: 'secret' } }));
    expect(kept).toMatchObject({ mounts: [], content: null, loop: null, merge: null });
    expect(kept.specification).toMatchObject({ prompt: { text: '' }, protect: [], name: 'one' });
  });

  test('that is parked says so, ahead of its own reason', () => {
    const parked = { code: 'corrupt', message: 'the value is unreadable', parkedAtMs: 1, by: 'x' } as const;
    const view = taskView(viewOf(task({ reason: 'earlier' }), { status: 'parked', parked }));
    expect(view.reason).toBe('parked: the value is unreadable');
  });

  test('of an earlier version has no limits and names no unprotected parts', () => {
    const { modelLimits: _, ...specification } = task().specification;
    const view = taskView(viewOf(task({ specification })));
    expect(view.modelLimits).toEqual({ task: {}, run: {} });
    expect('unprotected' in view).toBe(false);
  });
});

describe('a run', () => {
  test('takes the state of a living task from the task, and of an ended one from itself', () => {
    const context = run(['active', 'merged', 'waiting']);
    const living = new Map([
      ['t0', taskView(viewOf(task({ state: 'verifying' })))],
      ['t2', taskView(viewOf(task({ state: 'waiting', reason: 'soon' })))],
    ]);
    expect(runView(viewOf(context), living).tasks.map(({ state }) => state)).toEqual([
      'verifying',
      'merged',
      'waiting',
    ]);
  });

  test.each(['active', 'idle', 'skipped'] as const)(
    'shows a task that is %s and can’t be read yet as waiting',
    (state) => {
      expect(runView(viewOf(run([state])), new Map()).tasks[0]?.state).toBe('waiting');
    },
  );

  test('adds what living tasks have used to what ended ones reported', () => {
    const context = run(['active', 'merged'], { used: { usage, tasks: 1 } });
    const living = new Map([['t0', taskView(viewOf(task({ usage })))]]);
    expect(runView(viewOf(context), living).usage).toEqual({ inputTokens: 20, outputTokens: 10, costUsd: 1 });
    expect(runView(viewOf(context), new Map()).usage).toEqual(usage);
  });

  test('has no usage where an ended task reported none', () => {
    const context = run(['merged', 'merged'], { used: { usage, tasks: 1 } });
    expect('usage' in runView(viewOf(context), new Map())).toBe(false);
  });

  test('in a list counts its tasks by state, and a finished landing as merged', () => {
    const context = run(['merged', 'landed-pending', 'landed-pending', 'failed'], { endedAtMs: 9_000 });
    expect(taskCounts(context)).toEqual({ merged: 1, 'landed-pending': 2, failed: 1 });
    expect(runListed(viewOf(context), new Set(['t1']))).toMatchObject({
      state: 'failed',
      endedAt: '1970-01-01T00:00:09.000Z',
      taskCounts: { merged: 2, 'landed-pending': 1, failed: 1 },
    });
    expect('tasks' in runListed(viewOf(context), new Set())).toBe(false);
  });

  test('names the tasks that have to be read beside it', () => {
    const context = viewOf(run(['active', 'idle', 'skipped', 'waiting', 'merged', 'landed-pending']));
    expect(livingTasks(context)).toEqual(['t0', 't1', 't2']);
    expect(pendingTasks(context)).toEqual(['t5']);
  });
});

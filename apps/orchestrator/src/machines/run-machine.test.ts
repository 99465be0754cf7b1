import { describe, expect, test } from 'vitest';
import { transition } from 'xstate';
import { plan, runMachine, runStateOf, usageOfEnded } from './run-machine.ts';
import type { RunContext, RunTask } from './run-machine.ts';

const run = (concurrency: number, ...tasks: [state: RunTask['state'], ...dependsOn: number[]][]): RunContext => ({
  tenant: 'default',
  runId: 'r',
  requestId: 'q',
  requestHash: 'h',
  repository: '/r',
  baseBranch: 'main',
  concurrency,
  specificationArtifact: 'a',
  createdAtMs: 0,
  endedAtMs: null,
  cancelReason: null,
  failure: null,
  retries: 0,
  tasks: tasks.map(([state, ...dependsOn], index) => ({
    taskId: `t${index}`,
    name: `n${index}`,
    dependsOn,
    state,
    reason: null,
  })),
});

describe('the tasks that a run starts', () => {
  test('as many as the concurrency allows, in order', () => {
    expect(plan(run(2, ['waiting'], ['waiting'], ['waiting']))).toEqual({ start: [0, 1], skip: [] });
    expect(plan(run(2, ['active'], ['waiting'], ['waiting'])).start).toEqual([1]);
  });

  test("a task that waits for a person doesn't count as active", () => {
    expect(plan(run(1, ['idle'], ['waiting'])).start).toEqual([1]);
  });

  test('none before all its dependencies have landed', () => {
    expect(plan(run(4, ['merged'], ['active'], ['waiting', 0, 1])).start).toEqual([]);
    expect(plan(run(4, ['merged'], ['no-changes'], ['landed-pending'], ['waiting', 0, 1, 2])).start).toEqual([3]);
  });

  test('none with a dependency that did not land: the reason names it', () => {
    const { start, skip } = plan(run(4, ['failed'], ['waiting', 0], ['waiting', 1]));
    expect(start).toEqual([]);
    expect(skip).toEqual([{ index: 1, reason: 'depends on n0, which ended as failed' }]);
  });

  test('none after a cancellation', () => {
    expect(plan({ ...run(4, ['waiting']), cancelReason: 'enough' })).toEqual({ start: [], skip: [] });
  });

  test('one step sends a bounded number of messages, however many tasks wait', () => {
    const many = Array.from({ length: 300 }, (): [RunTask['state'], number] => ['waiting', 0]);
    expect(plan(run(4, ['failed'], ...many)).skip).toHaveLength(50);
  });
});

describe('the end of a run', () => {
  test("succeeded if no task failed; a task that a person discarded didn't fail", () => {
    expect(runStateOf(run(1, ['merged'], ['no-changes'], ['discarded'], ['branch-pushed'], ['landed-pending']))).toBe(
      'succeeded',
    );
    expect(runStateOf(run(1, ['merged'], ['timed-out']))).toBe('failed');
    expect(runStateOf(run(1, ['merged'], ['active']))).toBe('running');
    expect(runStateOf({ ...run(1, ['merged'], ['cancelled']), cancelReason: 'x' })).toBe('cancelled');
  });
});

test("each task's usage counts once; it is unknown if a task of an earlier version didn't report it", () => {
  const usage = { inputTokens: 10, outputTokens: 2, costUsd: 0.5 };
  const ended = (taskId: string, reported?: object) =>
    ({ type: 'task-ended', taskId, state: 'merged', reason: null, now: 1, ...reported }) as const;
  const used = { usage: { inputTokens: 0, outputTokens: 0, costUsd: 0 }, tasks: 0 };
  const begun = { ...run(2, ['active'], ['active'], ['active']), used };
  let snapshot = runMachine.resolveState({ value: 'running', context: begun });
  for (const event of [ended('t0', { usage }), ended('t0', { usage }), ended('t1', { usage })])
    [snapshot] = transition(runMachine, snapshot, event);
  expect(usageOfEnded(snapshot.context)).toEqual({ inputTokens: 20, outputTokens: 4, costUsd: 1 });
  [snapshot] = transition(runMachine, snapshot, ended('t2'));
  expect(usageOfEnded(snapshot.context)).toBeUndefined();
});

test('a long reason is shortened, with an ellipsis', () => {
  const running = runMachine.resolveState({ value: 'running', context: run(1, ['active'], ['active']) });
  const reasonAfter = (reason: string) => {
    const event = { type: 'task-ended', taskId: 't0', state: 'failed', reason, now: 1 } as const;
    return transition(runMachine, running, event)[0].context.tasks[0]?.reason;
  };
  expect(reasonAfter('x'.repeat(100))).toBe('x'.repeat(100));
  expect(reasonAfter('x'.repeat(101))).toBe(`${'x'.repeat(99)}…`);
});

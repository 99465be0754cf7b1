import { taskStateRegistry, taskStates } from '@coppice/contracts';
import { expect, test } from 'vitest';
import { runViewOf, taskView } from '../test-support/views.ts';
import { colours } from './colours.ts';
import { exitCodeOf, runReport, taskReport } from './report.ts';

const plain = colours(false);

test.each([
  ['everything landed', ['merged', 'no-changes', 'branch-pushed'], 0],
  ['a task failed', ['merged', 'failed'], 1],
  ['a task timed out', ['merged', 'timed-out'], 1],
  ['a task was cancelled', ['cancelled', 'merged'], 1],
  ['a task was discarded', ['discarded', 'merged'], 1],
  ['a task waits for approval', ['awaiting-approval', 'failed'], 4],
  ['a task waits to be merged', ['ready', 'merged'], 4],
  ['a landing is to be finished', ['landed-pending', 'merged'], 4],
  ['a landing is to be finished and a task failed', ['landed-pending', 'failed'], 1],
] as const)('exit code when %s', (_what, states, expected) => {
  expect(exitCodeOf(states.map((state, index) => taskView({ name: `task${index}`, state })))).toBe(expected);
});

test("the report of a run has each task's outcome and its reason", () => {
  const tasks = [
    taskView({ name: 'good', state: 'merged', landedCommit: '0123456789abcdef' }),
    taskView({
      name: 'broken',
      state: 'failed',
      reason: 'the verify command ended with exit code 1',
      logTail: 'one\n\u001B[31mnot ok\u001B[0m 2\n',
      rescue: '/state/tasks.git refs/coppice/rescue/x',
    }),
    taskView({
      name: 'pending',
      state: 'landed-pending',
      reason: 'the checkout is dirty',
      finishCommand: 'git merge --ff-only x',
    }),
  ];
  const run = runViewOf(tasks, { state: 'failed', endedAt: '2026-01-01T00:00:12.000Z' });
  expect(runReport(run, tasks, plain)).toEqual([
    'run raaaaaaaaaaaaaaaa: 1 of 3 tasks done in 0:12, 1 done and kept for you to finish its landing',
    '',
    '✔ good     merged             0123456789  Do good',
    '✘ broken   failed             the verify command ended with exit code 1',
    '    what it did is kept: /state/tasks.git refs/coppice/rescue/x',
    '    as a branch: coppice pull raaaaaaaaaaaaaaaa/broken',
    '    | one',
    '    | not ok 2',
    '! pending  to finish          the checkout is dirty',
    '    to finish: git merge --ff-only x',
  ]);
});

test("a run's model usage is shown if there was any", () => {
  const tasks = [taskView({ name: 'one', state: 'merged' })];
  const head = (run: Parameters<typeof runViewOf>[1]) => runReport(runViewOf(tasks, run), tasks, plain)[0];
  const usage = { inputTokens: 812, outputTokens: 64, costUsd: 0.003 };
  expect(head({ usage })).toMatch(/; 812 tokens in, 64 out, 0\.0030 USD$/);
  for (const none of [{}, { usage: { inputTokens: 0, outputTokens: 0, costUsd: 0 } }])
    expect(head(none)).not.toContain('tokens in');
});

test('only the end of a long log is shown, with the command that shows all of it', () => {
  const logTail = Array.from({ length: 50 }, (_, index) => `line ${index}`).join('\n');
  const lines = taskReport(taskView({ name: 'a', state: 'failed', logTail }), 1, plain);
  expect(lines).toHaveLength(23);
  expect(lines[1]).toBe('    | …');
  expect(lines.slice(-2)).toEqual(['    | line 49', '    whole log: coppice logs raaaaaaaaaaaaaaaa/a']);
  const kept = taskView({ name: 'a', state: 'failed', logTail: 'one', logArtifact: 'log/default/x' });
  expect(taskReport(kept, 1, plain).slice(1)).toEqual(['    | one', '    whole log: coppice artifact log/default/x']);
});

test('a task that waits for the user is shown with the command to type', () => {
  const lines = taskReport(
    taskView({ name: 'a', state: 'awaiting-approval', reason: 'it changes .github/ci.yml' }),
    1,
    plain,
  );
  expect(lines.join('\n')).toContain('coppice approve raaaaaaaaaaaaaaaa/a');
});

test('a task that ended in an unknown state counts as neither unfinished nor done, and the exit code means that the user must look at it', () => {
  const tasks = [taskView({ name: 'a', state: 'archived', endedAt: '2026-01-01T00:00:12.000Z' })];
  expect(runReport(runViewOf(tasks), tasks, plain)).toEqual([
    'run raaaaaaaaaaaaaaaa: 0 of 1 tasks done',
    '',
    '● a  archived',
  ]);
  expect(exitCodeOf(tasks)).toBe(4);
});

test.each(taskStates)('%s has its own line, which has no control character if colours are off', (state) => {
  const [line] = taskReport(taskView({ name: 'a', state, reason: 'x\u001B[2Jy' }), 1, plain);
  expect(line).toContain(taskStateRegistry.labelOf(state));
  expect(line).not.toMatch(/[\u0000-\u001F\u007F-\u009F]/);
});

test('the report of a conflict names the commits that changed the files since the task began', () => {
  const commit = { commit: '0123456789abcdef', subject: 'feat: other', taskId: 't1' };
  const task = taskView({
    name: 'a',
    state: 'failed',
    reason: 'conflicts with main in a.txt',
    failure: {
      code: 'merge-conflict',
      message: 'conflicts with main in a.txt',
      retryable: false,
      details: {
        branch: 'main',
        tip: '0123456789abcdef',
        paths: ['a.txt', 'b.txt'],
        landed: [
          { path: 'a.txt', commits: [commit, { ...commit, taskId: null }] },
          { path: 'b.txt', commits: [] },
        ],
      },
    },
  });
  expect(taskReport(task, 1, plain)).toEqual([
    '✘ a  failed             conflicts with main in a.txt',
    '    a.txt was changed on main by 0123456789 feat: other (task t1)',
    '    a.txt was changed on main by 0123456789 feat: other',
  ]);
});

import { expect, test } from 'vitest';
import { progressFrom } from '../progress.ts';
import { runViewOf, taskView } from '../test-support/views.ts';
import { colours } from './colours.ts';
import { runTable } from './run-table.ts';
import { displayWidth } from './width.ts';

const now = Date.parse('2026-01-01T00:00:05.000Z');
const tasks = [
  taskView({ name: 'first', state: 'working' }),
  taskView({
    name: 'second',
    state: 'failed',
    reason: 'the verify command\nended with exit code 1 and a long explanation',
  }),
  taskView({ name: 'third', state: 'waiting' }),
];
const progress = progressFrom(runViewOf(tasks));

test('shows each task with its state and reason', () => {
  const lines = runTable(progress, { columns: 100, rows: 24, colours: colours(false), now });
  expect(lines[0]).toBe('run raaaaaaaaaaaaaaaa  0:05  1 working, 1 failed, 1 waiting');
  expect(lines[1]).toMatch(/^● first {2}working/);
  expect(lines[2]).toMatch(/^✘ second failed .*the verify command ended with exit code 1/);
});

test('a task with a working agent shows the current turn', () => {
  const [task] = progress.tasks;
  if (task === undefined) throw new Error('no task');
  const busy = { ...progress, tasks: [{ ...task, doing: 'turn 2: edit \u001B[2Ja.js' }] };
  const [, line] = runTable(busy, { columns: 100, rows: 24, colours: colours(false), now });
  expect(line).toMatch(/^● first working .*turn 2: edit a\.js$/);
});

test.each([10, 25, 40, 59, 60, 80, 200])('no line is wider than %d columns', (columns) => {
  for (const line of runTable(progress, { columns, rows: 24, colours: colours(true), now })) {
    expect(displayWidth(line)).toBeLessThan(columns);
  }
});

test('tasks that do not fit are counted; active tasks are shown first, in the order of the run file', () => {
  const many = Array.from({ length: 40 }, (_, index) =>
    taskView({ name: `task${index}`, state: index === 30 ? 'working' : index < 20 ? 'merged' : 'waiting' }),
  );
  const unique = many.map((task, index) => ({ ...task, taskId: `t${index}` }));
  const lines = runTable(progressFrom(runViewOf(unique)), { columns: 80, rows: 10, colours: colours(false), now });
  expect(lines.length).toBeLessThan(10);
  expect(lines.join('\n')).toContain('task30');
  expect(lines.at(-1)).toBe('  … and 33 more');
});

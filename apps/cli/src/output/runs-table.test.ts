import type { RunSummary } from '@coppice/contracts';
import { expect, test } from 'vitest';
import { colours } from './colours.ts';
import { runsTable } from './runs-table.ts';
import { displayWidth } from './width.ts';

const now = Date.parse('2026-01-01T00:01:05.000Z');
const run = (runId: string, fields: Partial<RunSummary> = {}): RunSummary => ({
  runId,
  tenant: 'default',
  requestId: runId,
  repository: '/a/repository',
  baseBranch: 'main',
  state: 'running',
  concurrency: 4,
  createdAt: '2026-01-01T00:00:00.000Z',
  endedAt: null,
  taskCounts: { working: 2, merged: 1, failed: 0 },
  ...fields,
});
const over = run('rover', { state: 'failed', endedAt: '2026-01-01T00:00:10.000Z' });
const size = { columns: 100, rows: 24, colours: colours(false), now };

test('running runs come first, with their latest event; ended runs have their repository and branch', () => {
  const latest = new Map([['rbusy', '10:00:00 a: turn 2: edit \u001B[31mx.js']]);
  const lines = runsTable([over, run('rbusy')], latest, size);
  expect(lines[0]).toBe('1 running, 2 in all; Ctrl-C ends this');
  expect(lines[1]).toBe('● rbusy running       1:05  2 working, 1 merged  10:00:00 a: turn 2: edit x.js');
  expect(lines[2]).toBe('✘ rover failed        0:10  2 working, 1 merged  /a/repository main');
});

test('the counts of tasks use display texts, not names of states', () => {
  const taskCounts = { merged: 2, failed: 0, active: 1, idle: 1, waiting: 3 };
  expect(runsTable([run('rbusy', { taskCounts })], new Map(), size)[1]).toContain(
    '2 merged, 1 at work, 1 waiting for you, 3 waiting',
  );
});

test('a run is "to finish", not "succeeded", if the user has to finish a landing', () => {
  const fields = {
    state: 'succeeded',
    endedAt: '2026-01-01T00:00:10.000Z',
    taskCounts: { 'landed-pending': 1 },
  } as const;
  expect(runsTable([run('rwait', fields)], new Map(), size)[1]).toMatch(/^! rwait to finish /);
});

test.each([10, 25, 40, 80])('no line is wider than %d columns', (columns) => {
  for (const line of runsTable([over, run('rbusy')], new Map(), { ...size, columns }))
    expect(displayWidth(line)).toBeLessThan(columns);
});

test('runs that do not fit are counted', () => {
  const many = Array.from({ length: 40 }, (_, index) => run(`r${index}`));
  const lines = runsTable(many, new Map(), { ...size, rows: 10 });
  expect(lines.length).toBeLessThan(10);
  expect(lines.at(-1)).toBe('  … and 33 more (coppice ls)');
});

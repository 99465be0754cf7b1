import type { CoppiceEvent, TaskState, TranscriptEntry } from '@coppice/contracts';
import { expect, test } from 'vitest';
import { colours } from './output/colours.ts';
import { traceLines } from './output/trace-lines.ts';
import { runTree, taskTree } from './trace-tree.ts';

const startMs = Date.parse('2026-01-01T00:00:00.000Z');
const at = (ms: number) => new Date(startMs + ms).toISOString();
let sequence = 0;
const event = (type: string, ms: number, data: object): CoppiceEvent =>
  ({ specversion: '1.0', id: `${++sequence}`, type: `coppice.${type}`, time: at(ms), data }) as unknown as CoppiceEvent;
const entered = (name: string, ms: number, from: TaskState | null, to: TaskState, reason: string | null = null) =>
  event('task-state', ms, { runId: 'r1', taskId: `t-${name}`, name, from, to, reason });
const turn = (ms: number, latencyMs: number, rest: object, costUsd: number | null = 0.25): TranscriptEntry =>
  ({
    time: at(ms),
    model: 'scripted/plan.yaml',
    output: { latencyMs, usage: { inputTokens: 100, outputTokens: 10, costUsd }, ...rest },
  }) as unknown as TranscriptEntry;

const life = (name: string, ms: number) => [
  entered(name, ms, null, 'waiting'),
  entered(name, ms + 500, 'waiting', 'working'),
  entered(name, ms + 4_000, 'working', 'verifying'),
];
const events = [
  event('run-submitted', 0, { runId: 'r1' }),
  ...life('one', 10),
  ...life('two', 20),
  entered('one', 5_000, 'verifying', 'merged'),
  entered('two', 65_000, 'verifying', 'failed', 'exit code 1\u001B[2J\nof sh'),
  event('run-ended', 65_100, { runId: 'r1', state: 'failed' }),
];
const turns = new Map([
  ['t-one', [turn(1_500, 900, { queuedMs: 40, attempts: 2 }), turn(3_000, 1_000, { queuedMs: 5, attempts: 1 })]],
  ['t-two', [turn(1_600, 900, {}, null)]],
]);

test('a run is a tree of its tasks, their states, and the turns in them', () => {
  const tree = runTree('r1', { events, turns });
  if (tree === null) throw new Error('no tree');
  expect(traceLines(tree, startMs + 99_000, colours(false))).toEqual([
    'r1                  1:05  failed, 300 tokens in, 30 out',
    '├─ one             5.0 s  merged, 2 turns, 200 tokens in, 20 out, 0.5000 USD',
    '│  ├─ waiting     500 ms',
    '│  ├─ working      3.5 s',
    '│  │  ├─ turn 1   900 ms  scripted/plan.yaml, queued 40 ms, 2 attempts, 100 tokens in, 10 out, 0.2500 USD',
    '│  │  └─ turn 2    1.0 s  scripted/plan.yaml, queued 5 ms, 100 tokens in, 10 out, 0.2500 USD',
    '│  └─ verifying   990 ms',
    '└─ two              1:04  failed, exit code 1 of sh, 1 turn, 100 tokens in, 10 out',
    '   ├─ waiting     500 ms',
    '   ├─ working      3.5 s',
    '   │  └─ turn 1   900 ms  scripted/plan.yaml, 100 tokens in, 10 out',
    '   └─ verifying     1:00',
  ]);
});

test('what goes on is told as such, with its time so far', () => {
  const tree = taskTree('t-one', { events: events.slice(0, 3), turns: new Map() });
  if (tree === null) throw new Error('no tree');
  expect(traceLines(tree, startMs + 2_510, colours(false))).toEqual([
    'one           2.5 s so far  working',
    '├─ waiting   500 ms',
    '└─ working    2.0 s so far',
  ]);
});

test('a turn that the clocks put before everything is in the first state', () => {
  const early = new Map([['t-one', [turn(-5_000, 100, {})]]]);
  const tree = taskTree('t-one', { events, turns: early });
  expect(tree?.children.map(({ children }) => children.length)).toEqual([1, 0, 0]);
});

test('of what is no longer stored there is no tree', () => {
  expect(runTree('r1', { events: [], turns })).toBeNull();
  expect(taskTree('t-three', { events, turns })).toBeNull();
});

import type { CoppiceEvent, TaskState, TaskStep, TranscriptEntry } from '@coppice/contracts';
import { expect, test } from 'vitest';
import { colours } from '../output/colours.ts';
import { traceLines } from '../output/trace-lines.ts';
import { runTree, taskTree } from './tree.ts';

const startMs = Date.parse('2026-01-01T00:00:00.000Z');
const at = (ms: number) => new Date(startMs + ms).toISOString();
let sequence = 0;
const event = (type: string, ms: number, data: object): CoppiceEvent =>
  ({ specversion: '1.0', id: `${++sequence}`, type: `coppice.${type}`, time: at(ms), data }) as unknown as CoppiceEvent;
const entered = (
  name: string,
  ms: number,
  from: TaskState | null,
  to: TaskState,
  reason: string | null = null,
  more: { dependsOn?: string[]; steps?: TaskStep[] } = {},
) => event('task-state', ms, { runId: 'r1', taskId: `t-${name}`, name, from, to, reason, ...more });
/** A step that a task requested at `fromMs`. The orchestrator handled its result at `toMs`. */
const ordered = (
  what: string,
  [fromMs, toMs]: [number, number],
  [queuedMs, workedMs]: [number | null, number | null] = [null, null],
  error: string | null = null,
): TaskStep => ({ what, orderedAt: at(fromMs), endedAt: at(toMs), queuedMs, workedMs, error });
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
    'r1                                      1:05  failed, 300 tokens in, 30 out, cost unknown',
    '├─ one                                 5.0 s  merged, 2 turns, 200 tokens in, 20 out, 0.5000 USD, ' +
      'waited 500 ms for the orchestrator',
    '│  ├─ waiting                         500 ms',
    '│  │  └─ waits for the orchestrator   500 ms',
    '│  ├─ working                          3.5 s',
    '│  │  ├─ turn 1                       900 ms  scripted/plan.yaml, queued 40 ms, 2 attempts, 100 tokens in, 10 out, 0.2500 USD',
    '│  │  └─ turn 2                        1.0 s  scripted/plan.yaml, queued 5 ms, 100 tokens in, 10 out, 0.2500 USD',
    '│  └─ verifying                       990 ms',
    '└─ two                                  1:04  failed, exit code 1 of sh, 1 turn, 100 tokens in, 10 out, cost unknown, ' +
      'waited 500 ms for the orchestrator',
    '   ├─ waiting                         500 ms',
    '   │  └─ waits for the orchestrator   500 ms',
    '   ├─ working                          3.5 s',
    '   │  └─ turn 1                       900 ms  scripted/plan.yaml, 100 tokens in, 10 out, cost unknown',
    '   └─ verifying                         1:00',
  ]);
});

test('a step that has not ended is shown with its time so far', () => {
  const tree = taskTree('t-one', { events: events.slice(0, 3), turns: new Map() });
  if (tree === null) throw new Error('no tree');
  expect(traceLines(tree, startMs + 2_510, colours(false))).toEqual([
    'one                                 2.5 s so far  working, waited 500 ms for the orchestrator',
    '├─ waiting                         500 ms',
    '│  └─ waits for the orchestrator   500 ms',
    '└─ working                          2.0 s so far',
  ]);
});

/** Events of a run. The task `two` depends on the task `one`, and has all causes of waits. */
const slow = [
  event('run-submitted', 0, { runId: 'r1' }),
  entered('one', 0, null, 'waiting'),
  entered('two', 0, null, 'waiting', null, { dependsOn: ['one'] }),
  entered('other', 0, null, 'waiting'),
  entered('other', 20, 'waiting', 'working'),
  entered('one', 30, 'waiting', 'working'),
  entered('one', 2_000, 'working', 'merged'),
  entered('two', 5_000, 'waiting', 'preparing'),
  entered('two', 7_000, 'preparing', 'working', null, {
    steps: [
      ordered('worktree-service.prepare', [5_000, 5_050], [10, 40]),
      ordered('container-service.create', [5_050, 7_000], [1_500, 200]),
    ],
  }),
  event('task-turn', 8_000, {
    runId: 'r1',
    taskId: 't-two',
    name: 'two',
    turn: 1,
    steps: [
      ordered('llm-gateway.turn', [7_000, 7_400], [0, 400], 'unavailable'),
      ordered('llm-gateway.turn', [7_400, 8_000], [50, 550]),
    ],
  }),
  event('task-turn', 20_000, {
    runId: 'r1',
    taskId: 't-two',
    name: 'two',
    turn: 2,
    steps: [
      ordered('container-service.tools', [8_000, 18_000], [4_000, 6_000]),
      ordered('llm-gateway.turn', [18_000, 20_000], [1_000, 1_000]),
    ],
  }),
  entered('two', 20_000, 'working', 'awaiting-approval'),
  entered('two', 80_000, 'awaiting-approval', 'landing'),
  entered('two', 84_000, 'landing', 'merged', null, {
    steps: [ordered('landing', [80_000, 83_000]), ordered('worktree-service.land', [83_000, 84_000], [0, 300])],
  }),
];
const slowTurns = new Map([['t-two', [turn(8_000, 550, { queuedMs: 50 }), turn(20_000, 1_000, { queuedMs: 1_000 })]]]);

test('a trace shows what a task waited for, in each state and in total: dependencies, a place, queues, a landing, the user', () => {
  const tree = taskTree('t-two', { events: slow, turns: slowTurns });
  if (tree === null) throw new Error('no tree');
  expect(traceLines(tree, startMs, colours(false))).toEqual([
    'two                                  1:24  merged, 2 turns, 200 tokens in, 20 out, 0.5000 USD, ' +
      'waited 2.0 s for tasks it depends on, 3.0 s for a place, 3.0 s for its turn to land, 1:00 for approval, ' +
      '6.6 s in queues, 950 ms for the orchestrator',
    '├─ waiting                          5.0 s',
    '│  ├─ waits for one to land         2.0 s',
    '│  └─ waits for a place             3.0 s',
    '├─ preparing                        2.0 s',
    '│  └─ container-service.create     450 ms  queued 1.5 s, 250 ms until the orchestrator took its result',
    '├─ working                         13.0 s',
    '│  ├─ llm-gateway.turn             400 ms  unavailable, queued 0 ms',
    '│  ├─ turn 1                       550 ms  scripted/plan.yaml, queued 50 ms, 100 tokens in, 10 out, 0.2500 USD',
    '│  ├─ container-service.tools       6.0 s  queued 4.0 s',
    '│  └─ turn 2                        1.0 s  scripted/plan.yaml, queued 1.0 s, 100 tokens in, 10 out, 0.2500 USD',
    '├─ awaiting approval                 1:00',
    '└─ landing                          4.0 s',
    '   ├─ waits for its turn to land    3.0 s',
    '   └─ worktree-service.land         1.0 s  queued 0 ms, 700 ms until the orchestrator took its result',
  ]);
  // The tree, and so the JSON output, includes short steps.
  expect(tree.children.find(({ name }) => name === 'preparing')).toMatchObject({
    waits: { queue: 1_510, orchestrator: 250 },
    children: [
      { kind: 'step', name: 'worktree-service.prepare', startedAtMs: startMs + 5_010, queuedMs: 10, outcome: null },
      { kind: 'step', name: 'container-service.create' },
    ],
  });
});

test('a task that has not started shows which dependency has not landed, or that it waits for a place', () => {
  const missing = taskTree('t-two', { events: slow.slice(0, 6), turns: new Map() });
  expect(missing?.children[0]?.children).toMatchObject([
    { kind: 'wait', name: 'waits for one to land', endedAtMs: null, waits: {} },
  ]);
  const crowded = taskTree('t-two', { events: slow.slice(0, 7), turns: new Map() });
  expect(crowded?.children[0]?.children.map(({ name, endedAtMs }) => [name, endedAtMs])).toEqual([
    ['waits for one to land', startMs + 2_000],
    ['waits for a place', null],
  ]);
});

test('a task without other tasks waits only for the orchestrator', () => {
  const alone = [entered('one', 0, null, 'waiting'), entered('one', 300, 'waiting', 'preparing')];
  expect(taskTree('t-one', { events: alone, turns: new Map() })?.waits).toEqual({ orchestrator: 300 });
});

test('a turn that seems to precede all states, because clocks differ, belongs to the working state', () => {
  const early = new Map([['t-one', [turn(-5_000, 100, {})]]]);
  const tree = taskTree('t-one', { events, turns: early });
  expect(tree?.children.map(({ children }) => children.length)).toEqual([1, 1, 0]);
});

test('there is no tree if no event is stored any more', () => {
  expect(runTree('r1', { events: [], turns })).toBeNull();
  expect(taskTree('t-three', { events, turns })).toBeNull();
});

test('a turn that requests an alias shows which model answered', () => {
  const answered = { ...turn(1_500, 900, { attempts: 2, provider: 'local', responseModel: 'qwen3' }), model: 'fast' };
  const tree = taskTree('t-one', { events, turns: new Map([['t-one', [answered]]]) });
  if (tree === null) throw new Error('no tree');
  const [line] = traceLines(tree, startMs, colours(false)).filter((each) => each.includes('turn 1'));
  expect(line).toContain('fast answered by local/qwen3, 2 attempts, ');
  expect(JSON.stringify(tree)).toContain('"model":"fast","answeredBy":"local/qwen3"');
});

test('a turn that the cache answered is marked as such', () => {
  const { output, ...rest } = turn(1_500, 900, { cached: true });
  const { attempts: _attempts, ...cached } = output;
  const tree = taskTree('t-one', { events, turns: new Map([['t-one', [{ ...rest, output: cached }]]]) });
  if (tree === null) throw new Error('no tree');
  const [line] = traceLines(tree, startMs, colours(false)).filter((each) => each.includes('turn 1'));
  expect(line).toContain('scripted/plan.yaml, from the cache, ');
});

import { expect, test } from 'vitest';
import type { LogItem } from '../log-items.ts';
import { colours } from './colours.ts';
import { LogLines } from './log-lines.ts';

const time = new Date(2026, 0, 1, 10, 20, 30).toISOString();
const output = (text: string, stream: 'stdout' | 'stderr' = 'stdout', sandboxId = 's'): LogItem => ({
  kind: 'output',
  time,
  sandboxId,
  stream,
  text,
});
const turn = (text: string, calls: [string, string][] = []): LogItem & { kind: 'turn' } => ({
  kind: 'turn',
  time,
  turnId: 'e',
  model: 'a/b',
  answeredBy: 'a/b',
  text,
  shortened: false,
  calls: calls.map(([name, given]) => ({ id: name, name, arguments: given, shortened: false })),
  usage: { inputTokens: 0, outputTokens: 0, costUsd: null },
});
const message = (text: string, opening = false): LogItem => ({
  kind: 'message',
  time,
  text,
  shortened: false,
  opening,
});
const result = (tool: string, text: string, isError = false): LogItem => ({
  kind: 'result',
  time,
  callId: 'c',
  tool,
  isError,
  text,
  shortened: false,
});

function show(...items: LogItem[]): string[] {
  const lines = new LogLines(colours(false));
  return [...items.flatMap((item) => lines.add(item)), ...lines.end()];
}

test('pieces of output are joined to lines; output of another source ends an open line', () => {
  expect(show(output('one\ntw'), output('o\nthr'), output('error', 'stderr'), output('ee'), turn('Well.'))).toEqual([
    '         | one',
    '         | two',
    '         | thr',
    '         | error',
    '         | ee',
    '10:20:30 turn 1 Well.',
  ]);
});

test('escape sequences are removed even if split between pieces, and only the last state of a progress bar is shown', () => {
  expect(show(output('a\u001B[3'), output('1mred\u001B[0m\u0007\r\n10 %\r20 %\r100 %\n'))).toEqual([
    '         | ared',
    '         | 100 %',
  ]);
  const [shown = ''] = show(
    turn('\u001B]0;title\u0007 \u001B[2Jwiped\u202E', [['run', '{"command":"echo \\u001b[2J"}']]),
  );
  expect(shown).toBe('10:20:30 turn 1 wiped');
});

test('a long line is returned in parts before it ends', () => {
  const lines = new LogLines(colours(false));
  expect(lines.add(output('x'.repeat(20_000))).length).toBe(1);
});

test('a call is shown with its main argument; arguments that are not JSON are shown unchanged', () => {
  const long = JSON.stringify({ command: 'echo '.repeat(100) });
  const lines = show(
    turn('', [
      ['read', '{"path":"a.txt"}'],
      ['todo', '{"items":[]}'],
      ['run', '{"comm'],
      ['run', long],
    ]),
  );
  expect(lines.slice(0, 4)).toEqual([
    '10:20:30 turn 1',
    '         → read a.txt',
    '         → todo {"items":[]}',
    '         → run {"comm',
  ]);
  expect(lines[4]?.length).toBeLessThan(220);
});

test('a result shows how much was read, or why the call failed', () => {
  expect(
    show(
      result('read', 'a\nb\nc'),
      result('edit', 'not there\nthe file has\nthis', true),
      result('run', 'exit code 1 after 2 s\nshown before', true),
    ),
  ).toEqual([
    '         ← read ok: 3 lines',
    '         ← edit failed: not there',
    '           the file has',
    '           this',
    '         ← run failed: exit code 1 after 2 s',
  ]);
});

test('`leftOut` is true after a truncation, and with `full` nothing is truncated', () => {
  const long = JSON.stringify({ command: 'echo '.repeat(100) });
  const text = Array.from({ length: 60 }, (_, index) => `line ${index}`).join('\n');
  const items = [turn(text), turn('', [['run', long]]), result('read', 'a\nb')];
  for (const item of items.slice(0, 2)) {
    const lines = new LogLines(colours(false));
    lines.add(item);
    expect(lines.leftOut).toBe(true);
  }
  const short = new LogLines(colours(false));
  short.add(turn('one\ntwo', [['read', '{"path":"a.txt"}']]));
  expect(short.leftOut).toBe(false);
  const full = new LogLines(colours(false), true);
  const shown = items.flatMap((item) => full.add(item));
  expect(full.leftOut).toBe(false);
  expect(shown).toContain('         line 59');
  expect(shown).toContain(`         → run ${long}`);
  expect(shown.slice(-2)).toEqual(['         ← read ok: a', '           b']);
});

test('the task is not shown; a reminder and a restarted conversation are', () => {
  expect(show(message('# The task', true), turn('a'), message('hurry\nup'), message('# The task', true))).toEqual([
    '10:20:30 turn 1 a',
    '10:20:30 message: hurry up',
    '10:20:30 the conversation begins anew',
  ]);
});

test('the model that answered for an alias is shown once, and again when it changes', () => {
  const by = (answeredBy: string | null) => ({ ...turn('Well.'), model: 'fast', answeredBy });
  const file = {
    ...turn('Well.'),
    model: 'scripted//srv/plans/plan.yaml',
    answeredBy: 'scripted//srv/plans/plan.yaml',
  };
  expect(show(by('one/m'), by('one/m'), by('two/m'), by(null), turn('Well.'), file)).toEqual([
    '10:20:30 turn 1 (one/m) Well.',
    '10:20:30 turn 2 Well.',
    '10:20:30 turn 3 (two/m) Well.',
    '10:20:30 turn 4 Well.',
    '10:20:30 turn 5 Well.',
    '10:20:30 turn 6 Well.',
  ]);
});

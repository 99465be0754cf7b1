import type { Replay } from '@coppice/orchestrator';
import { expect, test } from 'vitest';
import { replayLines } from './replay.ts';

const replay = (fields: Partial<Replay>): Replay => ({
  turns: 3,
  difference: null,
  end: { do: 'finish', summary: 'done\nand checked' },
  todo: [],
  tokens: 10,
  ...fields,
});

test('an equal replay is reported with how it ends', () => {
  expect(replayLines(replay({}))).toEqual([
    'same: 3 turns replayed, each alike; then the agent finishes: done and checked',
  ]);
  expect(replayLines(replay({ turns: 1, end: { do: 'ask', for: 'work' } }))).toEqual([
    'same: 1 turn replayed, each alike; then the model gets the next request',
  ]);
});

test('for a different replay, the first differing message is shown in one line without control characters', () => {
  const message = (text: string) => ({ role: 'user', content: [{ type: 'text', text }] });
  const difference = {
    turn: 2,
    what: 'messages',
    expected: [message('same'), message('new\u009B2J')],
    recorded: [message('same')],
  } as const;
  expect(replayLines(replay({ turns: 1, difference: { ...difference } }))).toEqual([
    'different at turn 2 (messages); 1 turn before it alike',
    '  now:      {"role":"user","content":[{"type":"text","text":"new\\u009b2J"}]}',
    '  recorded: nothing',
  ]);
  const end = {
    turn: 3,
    what: 'end',
    expected: { do: 'stop', reason: 'x'.repeat(5_000) },
    recorded: 'another turn',
  } as const;
  const [, now = '', recorded] = replayLines(replay({ difference: { ...end } }));
  expect(now.length).toBeLessThan(700);
  expect(recorded).toBe('  recorded: another turn');
});

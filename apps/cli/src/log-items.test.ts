import { expect, test } from 'vitest';
import { itemsOfTurn, lostOutput, mergeByTime } from './log-items.ts';
import type { LogItem } from './log-items.ts';
import type { TranscriptEntry } from '@coppice/contracts';
import type { Texts } from './transcript.ts';

async function* at(...times: string[]): AsyncIterable<{ time: string; from: string }> {
  for (const time of times) yield { time: `2026-01-01T00:00:${time}Z`, from: times[0] ?? '' };
}

test('sequences are merged by time, each in its own order', async () => {
  const merged: string[] = [];
  for await (const { time } of mergeByTime([at('01', '04.5', '05'), at(), at('02', '03', '06')]))
    merged.push(time.slice(17, -1));
  expect(merged).toEqual(['01', '02', '03', '04.5', '05', '06']);
});

const stored: Record<string, string> = {
  long: 'x'.repeat(20_000),
  request: JSON.stringify([
    {
      role: 'tool',
      content: [{ type: 'tool-result', callId: 'c0', name: 'read', content: { artifact: 'long' }, isError: true }],
    },
    { role: 'user', content: [{ type: 'text', text: 'hurry' }] },
  ]),
};
const texts = {
  read: async (reference: { text: string } | { artifact: string }) =>
    'text' in reference ? reference.text : (stored[reference.artifact] ?? null),
  messagesOf: async () => JSON.parse(stored['request'] ?? '') as unknown,
} as unknown as Texts;

const entry: TranscriptEntry = {
  effectId: 'e1',
  owner: { tenant: 'default', runId: 'r', taskId: 't' },
  model: 'a/b',
  continues: 'e0',
  request: { artifact: 'request' },
  output: {
    turnId: 'e1',
    text: { artifact: 'lost' },
    toolCalls: [{ id: 'c1', name: 'run', arguments: { text: '{"command":' } }],
    finishReason: 'tool-calls',
    usage: { inputTokens: 1, outputTokens: 1, costUsd: null },
    provider: 'a',
    responseModel: 'b-2026',
    latencyMs: 1_500,
  },
  time: '2026-01-01T00:00:10.000Z',
};

test('the items of a turn are the messages since the last turn and the answer; texts by reference are read, truncated or reported as gone', async () => {
  const items = await itemsOfTurn(entry, texts);
  const requestedAt = '2026-01-01T00:00:08.500Z';
  expect(items.map(({ kind, time }) => [kind, time])).toEqual([
    ['result', requestedAt],
    ['message', requestedAt],
    ['turn', '2026-01-01T00:00:10.000Z'],
  ]);
  const [result, , turn] = items as [LogItem & { kind: 'result' }, LogItem, LogItem & { kind: 'turn' }];
  expect(result).toMatchObject({ isError: true, shortened: true });
  expect(result.text.length).toBe(16_000);
  expect(turn).toMatchObject({
    answeredBy: 'a/b-2026',
    shortened: true,
    text: expect.stringContaining('no longer'),
    calls: [{ arguments: '{"command":' }],
  });
  const [whole] = await itemsOfTurn(entry, texts, true);
  expect(whole).toMatchObject({ shortened: false, text: 'x'.repeat(20_000) });
});

test('reports that output may be missing if there was very much of it, or if it is old', () => {
  const [begun, dayMs] = ['2026-01-01T00:00:00.000Z', 24 * 3_600_000];
  const after = (days: number, pieces: number) => lostOutput(pieces, begun, Date.parse(begun) + days * dayMs);
  expect([after(6, 19_999), lostOutput(0, null, 0)]).toEqual([null, null]);
  expect(after(1, 20_000)).toMatch(/Only the last 20000 pieces/);
  expect(after(8, 3)).toMatch(/for 7 days/);
});

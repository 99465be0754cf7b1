import type { AgentOf, ModelMessage, ToolCall, TurnOutput } from '@coppice/contracts';
import { describe, expect, test } from 'vitest';
import { afterTools, afterTurn, begin, withoutSummary } from './decide-next-step.ts';
import { newLoop } from './loop-state.ts';
import type { Assignment } from './loop-state.ts';
import { limitsOf, replay } from './replay.ts';
import type { RecordedTurn } from './replay.ts';

const agent: AgentOf<'loop'> = { kind: 'loop', turns: 20, contextTokens: 10_000 };
const assignment: Assignment = {
  description: 'Fix it',
  prompt: { artifact: 'run/x/prompt' },
  verify: 'make test',
  ...limitsOf(agent),
};

type Answer = { calls?: [string, unknown][]; text?: string; inputTokens?: number };

/** Runs a whole task as the machine would, and records its transcript. */
function record(answers: Answer[], settings: { failSummaries?: boolean; failing?: string[] } = {}) {
  let state = begin(newLoop(), [{ path: 'AGENTS.md', content: { text: 'be kind' } }], assignment);
  const recorded: RecordedTurn[] = [];
  for (const [index, given] of answers.entries()) {
    if (state.next.do === 'ask' && state.next.for === 'summary' && settings.failSummaries === true) {
      state = withoutSummary(state, assignment);
    }
    const toolCalls = (given.calls ?? []).map(([name, input], at): ToolCall => ({
      id: `${index}-${at}`,
      name,
      arguments: { text: JSON.stringify(input) },
    }));
    const output: TurnOutput = {
      turnId: `turn-${index}`,
      text: { text: given.text ?? '' },
      toolCalls,
      finishReason: toolCalls.length > 0 ? 'tool-calls' : 'stop',
      usage: { inputTokens: given.inputTokens ?? 100, outputTokens: 10, costUsd: null },
      responseModel: 'm',
      latencyMs: 5,
    };
    recorded.push({ turnId: output.turnId, continues: state.turnId, messages: state.messages, output });
    state = afterTurn(state, output, assignment);
    if (state.next.do === 'call') {
      const results = state.next.calls.map(({ id, name }) => ({
        callId: id,
        name,
        content: { text: `result of ${id}` },
        isError: settings.failing?.includes(id) ?? false,
        logArtifact: null,
        durationMs: 3,
      }));
      state = afterTools(state, results, assignment);
    }
  }
  // The turns are encoded and decoded, as in the stream.
  return { recorded: JSON.parse(JSON.stringify(recorded)) as RecordedTurn[], state };
}

const work: Answer[] = [
  {
    calls: [
      ['read', { path: 'a' }],
      ['todo', { items: [{ text: 'x', done: false }] }],
    ],
  },
  { text: 'thinking aloud' },
  {
    calls: [
      ['run', { command: 'make test' }],
      ['finish', { summary: 'too early' }],
    ],
  },
  { calls: [['erase', {}]] },
  { calls: [['finish', { summary: 'done' }]] },
];

describe('replay', () => {
  test('reports no difference for an unchanged agent', () => {
    const { recorded } = record(work, { failing: ['2-0'] });
    expect(replay(agent, recorded)).toMatchObject({
      turns: 5,
      difference: null,
      end: { do: 'finish', summary: 'done' },
      todo: [{ text: 'x', done: false }],
    });
  });

  const compacted: Answer[] = [
    { calls: [['read', { path: 'a' }]], inputTokens: 9_500 },
    { text: 'summary' },
    { calls: [['run', { command: 'ls' }]] },
    { calls: [['finish', { summary: 'done' }]] },
  ];
  test('works across a compaction, even if its summary failed', () => {
    expect(replay(agent, record(compacted).recorded)).toMatchObject({ turns: 4, difference: null });
    const [first, , ...rest] = compacted;
    const failed = record([first as Answer, ...rest], { failSummaries: true, failing: ['0-0'] });
    expect(failed.recorded[1]?.continues).toBeNull();
    expect(replay(agent, failed.recorded)).toMatchObject({ turns: 3, difference: null });
  });

  test('reports the first difference', () => {
    const { recorded } = record(work);
    const [, second] = recorded;
    if (second === undefined) throw new Error('no second turn');
    const other: ModelMessage[] = [...second.messages, { role: 'user', content: [{ type: 'text', text: 'hurry' }] }];
    const changed = recorded.with(1, { ...second, messages: other });
    expect(replay(agent, changed)).toMatchObject({
      turns: 1,
      difference: { turn: 2, what: 'messages', recorded: other },
    });
    const elsewhere = recorded.with(1, { ...second, continues: 'turn-9' });
    expect(replay(agent, elsewhere).difference).toMatchObject({ turn: 2, what: 'continues', expected: 'turn-0' });
    const strict = replay({ ...agent, turns: 2 }, recorded);
    expect(strict.difference).toMatchObject({ turn: 3, what: 'end', expected: { do: 'stop' } });
    expect(replay(agent, []).difference).toMatchObject({ what: 'opening' });
    expect(replay(agent, recorded.slice(1)).difference).toMatchObject({ turn: 1, what: 'opening' });
  });
});

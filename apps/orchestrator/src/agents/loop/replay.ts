/**
 * Replays an agent offline from its recorded turns. The same answers must give the same decisions. Reports the first
 * request that differs from the recorded one. A difference means that the agent's code has changed since, or that the
 * recorded turns belong to another task.
 */
import { isDeepStrictEqual } from 'node:util';
import type { AgentOf, ModelMessage, ToolCall, ToolResult, TurnOutput } from '@coppice/contracts';
import { afterTools, afterTurn, begin, withoutSummary } from './decide-next-step.ts';
import { stepOf } from './describe-calls.ts';
import { newLoop } from './loop-state.ts';
import type { Assignment, LoopState, Step, ToolResultPart } from './loop-state.ts';
import { readOpening } from './prompts.ts';

/** A transcript entry. Its messages are loaded from the object store. */
export type RecordedTurn = { turnId: string; continues: string | null; messages: ModelMessage[]; output: TurnOutput };

export type Difference = {
  turn: number;
  what: 'opening' | 'continues' | 'messages' | 'end';
  expected: unknown;
  recorded: unknown;
};

export type Replay = {
  turns: number;
  difference: Difference | null;
  /**
   * The agent's step after the last replayed turn. A `call` with `finish` ends the task unless one of its calls fails.
   */
  end: Step;
  todo: LoopState['todo'];
  tokens: number;
};

type LoopAgent = AgentOf<'loop'>;

export const limitsOf = ({ turns, tokens, contextTokens }: LoopAgent) => ({
  turnsMax: turns,
  tokensMax: tokens ?? null,
  contextTokens,
});

/** @param recorded turns, in the order in which they were stored */
export function replay(agent: LoopAgent, recorded: readonly RecordedTurn[]): Replay {
  const opening = readOpening(recorded[0]?.messages ?? []);
  const report = (state: LoopState, turns: number, difference: Difference | null): Replay => ({
    turns,
    difference,
    end: state.next,
    todo: state.todo,
    tokens: state.tokens,
  });
  if (opening === null) {
    return report(newLoop(), 0, {
      turn: 1,
      what: 'opening',
      expected: 'the opening of a task',
      recorded: recorded[0]?.messages ?? null,
    });
  }
  const assignment: Assignment = { ...opening, ...limitsOf(agent) };
  let state = begin(newLoop(), opening.instructions, assignment);
  for (const [index, turn] of recorded.entries()) {
    state = catchUp(state, turn, assignment);
    const difference = differenceOf(state, turn, index + 1);
    if (difference !== null) return report(state, index, difference);
    state = afterTurn(state, turn.output, assignment);
  }
  return report(state, recorded.length, null);
}

/**
 * Applies what happened between the previous turn and this one, as this turn's messages show it. The turn either has
 * the results of calls, or starts a new conversation.
 */
function catchUp(before: LoopState, turn: RecordedTurn, assignment: Assignment): LoopState {
  let state = before;
  if (state.next.do === 'call') {
    const { calls } = state.next;
    const wanted = new Set(calls.map(({ id }) => id));
    const received = turn.messages
      .filter(({ role }) => role === 'tool')
      .flatMap(({ content }) => content)
      .filter((part): part is ToolResultPart => part.type === 'tool-result' && wanted.has(part.callId));
    const results = turn.continues === null ? calls.map((call) => forgotten(call, turn)) : received.map(resultOf);
    state = afterTools(state, results, assignment);
  }
  const beganAnew = turn.continues === null && state.turnId !== null;
  return beganAnew && state.next.do !== 'stop' ? withoutSummary(state, assignment) : state;
}

/**
 * Replaces a call's result that wasn't recorded because a new conversation started. The new conversation's opening only
 * shows whether the call failed.
 */
const forgotten = (call: ToolCall, { messages }: RecordedTurn): ToolResult => ({
  callId: call.id,
  name: call.name,
  content: { text: '' },
  isError: JSON.stringify(messages).includes(JSON.stringify(stepOf(call, true)).slice(1, -1)),
  logArtifact: null,
  durationMs: 0,
});

const resultOf = ({ callId, name, content, isError }: ToolResultPart): ToolResult => ({
  callId,
  name,
  content,
  isError,
  logArtifact: null,
  durationMs: 0,
});

function differenceOf({ next, turnId, messages }: LoopState, turn: RecordedTurn, number: number): Difference | null {
  if (next.do !== 'ask') return { turn: number, what: 'end', expected: next, recorded: 'another turn' };
  if (turnId !== turn.continues) return { turn: number, what: 'continues', expected: turnId, recorded: turn.continues };
  if (isDeepStrictEqual(messages, turn.messages)) return null;
  return { turn: number, what: 'messages', expected: messages, recorded: turn.messages };
}

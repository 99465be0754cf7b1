/**
 * Runs an agent again, offline, against what was recorded of it: the same decisions from the same answers. The first difference between what
 * it would order now and what it did order then is reported: a change of the agent's code, or a record that isn't its own. Pure.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Agent, ModelMessage, ToolCall, ToolResult, TurnOutput } from '@coppice/contracts';
import { afterTools, afterTurn, begin, withoutSummary } from './decide-next-step.ts';
import { stepOf } from './describe-calls.ts';
import { newLoop } from './loop-state.ts';
import type { Assignment, LoopState, Step, ToolResultPart } from './loop-state.ts';
import { readOpening } from './prompts.ts';

/** A transcript entry, its request read from where it lies. */
export type RecordedTurn = { turnId: string; continues: string | null; messages: ModelMessage[]; output: TurnOutput };

export type Difference = {
  turn: number;
  what: 'opening' | 'continues' | 'messages' | 'end';
  expected: unknown;
  recorded: unknown;
};

export type Replay = {
  /** Turns that were replayed alike. */
  turns: number;
  difference: Difference | null;
  /** What the agent does after the last of them; a `call` with `finish` ends the task when none of its calls fails. */
  end: Step;
  /** After the last of them. */
  todo: LoopState['todo'];
  tokens: number;
};

type LoopAgent = Extract<Agent, { kind: 'loop' }>;

export const limitsOf = ({ turns, tokens, contextTokens }: LoopAgent) => ({
  turnsMax: turns,
  tokensMax: tokens ?? null,
  contextTokens,
});

/** @param recorded in the order in which the turns were stored */
export function replay(agent: LoopAgent, recorded: readonly RecordedTurn[]): Replay {
  const told = readOpening(recorded[0]?.messages ?? []);
  const report = (state: LoopState, turns: number, difference: Difference | null): Replay => ({
    turns,
    difference,
    end: state.next,
    todo: state.todo,
    tokens: state.tokens,
  });
  if (told === null) {
    return report(newLoop(), 0, {
      turn: 1,
      what: 'opening',
      expected: 'the opening of a task',
      recorded: recorded[0]?.messages ?? null,
    });
  }
  const assignment: Assignment = { ...told, ...limitsOf(agent) };
  let state = begin(newLoop(), told.instructions, assignment);
  for (const [index, turn] of recorded.entries()) {
    state = catchUp(state, turn, assignment);
    const difference = differenceOf(state, turn, index + 1);
    if (difference !== null) return report(state, index, difference);
    state = afterTurn(state, turn.output, assignment);
  }
  return report(state, recorded.length, null);
}

/** What happened between two turns, as the second tells: the results of the calls, or a conversation that had to begin anew. */
function catchUp(before: LoopState, turn: RecordedTurn, assignment: Assignment): LoopState {
  let state = before;
  if (state.next.do === 'call') {
    const { calls } = state.next;
    const wanted = new Set(calls.map(({ id }) => id));
    const told = turn.messages
      .filter(({ role }) => role === 'tool')
      .flatMap(({ content }) => content)
      .filter((part): part is ToolResultPart => part.type === 'tool-result' && wanted.has(part.callId));
    const results = turn.continues === null ? calls.map((call) => forgotten(call, turn)) : told.map(resultOf);
    state = afterTools(state, results, assignment);
  }
  const beganAnew = turn.continues === null && state.turnId !== null;
  return beganAnew && state.next.do !== 'stop' ? withoutSummary(state, assignment) : state;
}

/** Of a result that the conversation lost when it had to begin anew, only what the opening tells is known. */
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

/**
 * Decides the agent's next step after each event. Each function returns the new state, which contains the next step.
 *
 * Invariants:
 * 1. Each tool call of the model gets exactly one result, in the order of the calls, before the next model call.
 * 2. A conversation begins with the task. A compaction keeps the task, the open points and the last steps, and may
 *    leave out everything else.
 * 3. Everything that lets the agent continue (a turn, a compaction, a repeated call) is counted and limited. At a
 *    limit, the task ends with a reason that names the limit.
 * 4. These functions depend only on their arguments, so that `replay` can repeat their decisions.
 */
import { toolLimits } from '@coppice/contracts';
import type { ModelMessage, ToolCall, ToolResult, TurnOutput } from '@coppice/contracts';
import { describeCall, stepOf } from './describe-calls.ts';
import { agentLimits, charactersPerToken, resultCharactersMax } from './limits.ts';
import type { Answered, Assignment, Finish, Instructions, LoopState, ToolResultPart } from './loop-state.ts';
import { isOwnTool, readOwnCall } from './own-tools.ts';
import {
  mechanicalSummary,
  nudge,
  nudgeCut,
  nudgeEmpty,
  opening,
  repetitionNotice,
  summaryRequest,
  turnsLeftNotice,
} from './prompts.ts';
import { hashOfCalls, remember, repeatsOf } from './repetition.ts';

const stop = (state: LoopState, reason: string): LoopState => ({ ...state, next: { do: 'stop', reason } });

/**
 * Returns the instruction files that exist. Of several files with the same content, often because one is a link, only
 * the first is returned.
 */
export function instructionsOf(results: readonly ToolResult[]): Instructions[] {
  const seen = new Set<string>();
  return results
    .filter(({ isError }) => !isError)
    .map(({ callId, content }) => ({ path: callId, content }))
    .filter(({ path, content }) => {
      const said = JSON.stringify(content).replace(path, '');
      if (seen.has(said)) return false;
      seen.add(said);
      return true;
    });
}

export const begin = (state: LoopState, instructions: Instructions[], assignment: Assignment): LoopState => {
  const begun = { ...state, instructions };
  return { ...begun, messages: opening(assignment, begun), next: { do: 'ask', for: 'work' } };
};

export function afterTurn(before: LoopState, output: TurnOutput, assignment: Assignment): LoopState {
  const { inputTokens, outputTokens } = output.usage;
  const wasSummary = before.next.do === 'ask' && before.next.for === 'summary';
  const state: LoopState = {
    ...before,
    turns: before.turns + 1,
    tokens: before.tokens + inputTokens + outputTokens,
    turnId: output.turnId,
    messages: [],
    contextIsFull: inputTokens + outputTokens > agentLimits.contextShareMax * assignment.contextTokens,
    turnsLost: 0,
    lostTurns: [],
  };
  if (wasSummary) return compact(state, summaryOf(output), assignment);
  if (output.finishReason === 'refusal') return stop(state, `the model refused: ${firstLine(output)}`);
  if (output.toolCalls.length === 0) return afterWords(state, output, assignment);
  return call({ ...state, nudges: 0 }, output.toolCalls, assignment);
}

/**
 * Handles an answer without a tool call. The agent replies to the first two such answers in a row with a request for a
 * tool call. The third ends the agent's work. The work is finished if the answer is a complete text, and failed if it
 * is empty or cut off.
 */
function afterWords(state: LoopState, output: TurnOutput, assignment: Assignment): LoopState {
  const said = 'artifact' in output.text ? 'a long text' : output.text.text.trim();
  if (state.nudges >= agentLimits.nudgesMax) {
    const cut = output.finishReason === 'length';
    if (said !== '' && !cut)
      return { ...state, next: { do: 'finish', summary: said.slice(0, agentLimits.bodyCharactersMax) } };
    const last = cut ? 'cut off at its length limit' : 'empty';
    return stop(
      state,
      `the model gave ${state.nudges + 1} answers in a row without calling a tool, the last one ${last}`,
    );
  }
  const message = said === '' ? nudgeEmpty : output.finishReason === 'length' ? nudgeCut : nudge;
  return ask({ ...state, nudges: state.nudges + 1, messages: [message] }, assignment);
}

function call(state: LoopState, calls: readonly ToolCall[], assignment: Assignment): LoopState {
  const frames = Buffer.byteLength(JSON.stringify(calls.map(({ id, name }) => [id, name])));
  if (calls.length > agentLimits.callsMax || frames > agentLimits.callFramesBytesMax) {
    return stop(
      state,
      `the model made ${calls.length} calls in one turn, with ${frames} bytes of ids and names; at most ${agentLimits.callsMax} with ${agentLimits.callFramesBytesMax} bytes are taken`,
    );
  }
  const callHashes = remember(state.callHashes, hashOfCalls(calls));
  const repeats = repeatsOf(callHashes);
  if (repeats >= agentLimits.repeatsMax) {
    const what = calls
      .map(describeCall)
      .join('; ')
      .slice(0, 2 * agentLimits.stepCharactersMax);
    return stop(state, `the agent made the same call ${repeats} times in a row: ${what}`);
  }
  const { sandboxCalls, answered, finish, todo } = sort(calls);
  const called: LoopState = {
    ...state,
    callHashes,
    repetitionTold: repeats < agentLimits.repeatsWarnedAt ? false : state.repetitionTold,
    todo: todo ?? state.todo,
    next: { do: 'call', calls: sandboxCalls, answered, finish },
  };
  return sandboxCalls.length === 0 ? afterTools(called, [], assignment) : called;
}

/** Separates the calls that run in the sandbox from the others, which it answers. */
function sort(calls: readonly ToolCall[]): {
  sandboxCalls: ToolCall[];
  answered: Answered[];
  finish: Finish | null;
  todo: LoopState['todo'] | null;
} {
  const sandboxCalls: ToolCall[] = [];
  const answered: Answered[] = [];
  let finish: Finish | null = null;
  let todo: LoopState['todo'] | null = null;
  let room: number = toolLimits.inlineBytesMax;
  const answer = (place: number, called: ToolCall, content: string, isError: boolean) =>
    answered.push({ place, result: resultPart(called, content, isError) });
  let refused = '';
  const refuse = (place: number, called: ToolCall, content: string) => {
    refused = called.name;
    answer(place, called, content, true);
  };
  for (const [place, called] of calls.entries()) {
    if (place >= toolLimits.callsPerTurnMax) {
      answer(place, called, `not done: at most ${toolLimits.callsPerTurnMax} calls are done in one turn`, true);
    } else if (refused !== '') {
      answer(place, called, `not done: ${refused}, called before it in this turn, was refused`, true);
    } else if (isOwnTool(called.name)) {
      const own = readOwnCall(called.name, called);
      if (own.tool === 'wrong') {
        if (own.tooLarge) refuse(place, called, own.problem);
        else answer(place, called, own.problem, true);
      } else if (own.tool === 'todo') {
        todo = own.items;
        answer(place, called, 'noted', false);
      } else if (finish === null) finish = { place, callId: called.id, summary: own.summary };
      else answer(place, called, 'finish was called already in this turn', true);
    } else {
      const { id, name, arguments: given } = called;
      const bytes = 'text' in given ? Buffer.byteLength(JSON.stringify(given.text)) : 0;
      if (bytes > room) {
        const taken = `at most ${toolLimits.inlineBytesMax} are taken in one turn`;
        refuse(place, called, `not done: its arguments, with those before it, have more bytes than that: ${taken}`);
      } else {
        room -= bytes;
        sandboxCalls.push({ id, name, arguments: given });
      }
    }
  }
  return { sandboxCalls, answered, finish, todo };
}

const resultPart = (called: { id: string; name: string }, content: string, isError: boolean): ToolResultPart => ({
  type: 'tool-result',
  callId: called.id,
  name: called.name,
  content: { text: content },
  isError,
});

export function afterTools(state: LoopState, results: readonly ToolResult[], assignment: Assignment): LoopState {
  if (state.next.do !== 'call') return state;
  const { calls, answered, finish } = state.next;
  const done = results.map(({ callId, name, content, isError }): ToolResultPart => ({
    type: 'tool-result',
    callId,
    name,
    content,
    isError,
  }));
  const failed = [...done, ...answered.map(({ result }) => result)].some(({ isError }) => isError);
  if (finish !== null && !failed) return { ...state, next: { do: 'finish', summary: finish.summary } };
  const refusal =
    finish === null
      ? []
      : [
          {
            place: finish.place,
            result: resultPart(
              { id: finish.callId, name: 'finish' },
              'not ended: another call of this turn failed; look at its result first',
              true,
            ),
          },
        ];
  const parts = merge(done, [...answered, ...refusal]);
  const outcomes = new Map(results.map((result) => [result.callId, result]));
  const steps = calls.map((called) => stepOf(called, outcomes.get(called.id)?.isError === true));
  return withResults(
    { ...state, toolsLost: 0, steps: [...state.steps, ...steps].slice(-agentLimits.stepsKept) },
    parts,
    assignment,
  );
}

const readOnly: readonly string[] = ['read', 'list', 'search'];

/**
 * Returns the calls that can safely be repeated. These are calls that only read, and each `write` after the turn's last
 * `edit` or `run`. Repeating an earlier `write` would undo what the `edit` or `run` did to the file.
 */
function safeToRepeat<Call extends { name: string }>(calls: readonly Call[]): Call[] {
  const lastChange = calls.findLastIndex(({ name }) => name === 'edit' || name === 'run');
  return calls.filter(({ name }, index) => readOnly.includes(name) || (name === 'write' && index > lastChange));
}

/**
 * Handles the loss of the executor of tool calls, some of which may have run. Calls that are safe to repeat are
 * repeated, within a limit. For each other call, the model gets a result that says that the outcome is unknown.
 */
export function afterToolsLost(state: LoopState, assignment: Assignment, mayRepeat: boolean): LoopState {
  if (state.next.do !== 'call') return state;
  const { calls, answered, finish } = state.next;
  const toolsLost = (state.toolsLost ?? 0) + 1;
  const again = mayRepeat && toolsLost < agentLimits.toolsLostMax ? safeToRepeat(calls) : [];
  const known = new Set([...answered.map(({ place }) => place), ...(finish === null ? [] : [finish.place])]);
  const places = freePlaces(calls.length, known);
  const unknown = calls.flatMap((called, index): Answered[] =>
    again.includes(called) ? [] : [{ place: places[index] ?? 0, result: resultPart(called, outcomeUnknown, true) }],
  );
  const steps = calls.filter((called) => !again.includes(called)).map((called) => stepOf(called, true));
  const next: LoopState['next'] = { do: 'call', calls: again, answered: [...answered, ...unknown], finish };
  const lost: LoopState = {
    ...state,
    toolsLost,
    next,
    steps: [...state.steps, ...steps].slice(-agentLimits.stepsKept),
  };
  return again.length === 0 ? afterTools(lost, [], assignment) : lost;
}

const outcomeUnknown =
  'it is not known whether this was done: the service that ran it was stopped or lost; look at the state of the files before you repeat it';

/** Returns the first `count` positions in the model's answer that `taken` doesn't contain. */
function freePlaces(count: number, taken: ReadonlySet<number>): number[] {
  const places: number[] = [];
  for (let place = 0; places.length < count; place++) if (!taken.has(place)) places.push(place);
  return places;
}

/**
 * Puts all results of a turn into the order of its calls. The results in `answered` have positions, and the sandbox's
 * results in `done` fill the other positions in order.
 */
function merge(done: readonly ToolResultPart[], answered: readonly Answered[]): ToolResultPart[] {
  const merged: ToolResultPart[] = [];
  const waiting = [...done];
  const byPlace = new Map(answered.map(({ place, result }) => [place, result]));
  for (let place = 0; place < done.length + answered.length; place++) {
    const part = byPlace.get(place) ?? waiting.shift();
    if (part !== undefined) merged.push(part);
  }
  return merged;
}

function withResults(state: LoopState, parts: ToolResultPart[], assignment: Assignment): LoopState {
  const messages: ModelMessage[] = [{ role: 'tool', content: parts }];
  const repeats = repeatsOf(state.callHashes);
  const warns = repeats >= agentLimits.repeatsWarnedAt && !state.repetitionTold;
  if (warns) messages.push(repetitionNotice(state.steps.at(-1) ?? parts.map(({ name }) => name).join(', '), repeats));
  const left = assignment.turnsMax - state.turns;
  if (left === agentLimits.turnsLeftWarnedAt && state.turns > 0) messages.push(turnsLeftNotice(left));
  const full =
    state.contextIsFull || tokensOf(parts, assignment) > (1 - agentLimits.contextShareMax) * assignment.contextTokens;
  return ask({ ...state, messages, repetitionTold: state.repetitionTold || warns, contextIsFull: full }, assignment);
}

const tokensOf = (parts: readonly ToolResultPart[], assignment: Assignment): number =>
  parts.reduce(
    (sum, { content }) => sum + ('text' in content ? content.text.length : resultCharactersMax(assignment)),
    0,
  ) / charactersPerToken;

/** Plans the next model call, within the limits. If the conversation is full, it is compacted first. */
function ask(state: LoopState, assignment: Assignment): LoopState {
  const { turnsMax, tokensMax, contextTokens } = assignment;
  if (state.turns >= turnsMax)
    return stop(state, `the agent took ${state.turns} turns, the most it may, without finishing`);
  if (tokensMax !== null && state.tokens >= tokensMax)
    return stop(state, `the agent used ${state.tokens} tokens; its limit is ${tokensMax}`);
  if (!state.contextIsFull) return { ...state, next: { do: 'ask', for: 'work' } };
  const compactions = nextCompaction(state);
  if (compactions.inARow > agentLimits.compactionsInARowMax) {
    return stop(
      state,
      `the conversation does not fit the model's context of ${contextTokens} tokens, however often it is summed up`,
    );
  }
  const messages = [...state.messages, summaryRequest];
  return { ...state, compactions, messages, contextIsFull: false, next: { do: 'ask', for: 'summary' } };
}

function nextCompaction({ compactions, turns }: LoopState): LoopState['compactions'] {
  const soon = turns - compactions.atTurn <= agentLimits.turnsBetweenCompactionsMin && compactions.inARow > 0;
  return { inARow: soon ? compactions.inARow + 1 : 1, atTurn: turns };
}

/** Starts a new conversation from the task and the summary. */
function compact(state: LoopState, summary: string | null, assignment: Assignment): LoopState {
  const compacted: LoopState = {
    ...state,
    turnId: null,
    summary: summary ?? mechanicalSummary,
    contextIsFull: false,
    compactions: { ...state.compactions, atTurn: state.turns },
  };
  return ask({ ...compacted, messages: opening(assignment, compacted) }, assignment);
}

/** Returns the summary. Returns null if it is empty, or too long to save anything. */
function summaryOf({ text }: TurnOutput): string | null {
  if ('artifact' in text || text.text.trim() === '') return null;
  const fits = Buffer.byteLength(JSON.stringify(text.text)) <= agentLimits.summaryBytesMax;
  return fits ? text.text.trim() : null;
}

/**
 * Starts a new conversation without a summary, after the model call for the summary failed or after the provider
 * rejected the conversation as too long.
 */
export function withoutSummary(state: LoopState, assignment: Assignment): LoopState {
  if (state.turnId === null) return stop(state, 'the task alone is longer than what the model can hold');
  const compactions =
    state.next.do === 'ask' && state.next.for === 'summary' ? state.compactions : nextCompaction(state);
  if (compactions.inARow > agentLimits.compactionsInARowMax) {
    return stop(state, `the conversation does not fit what the model can hold, however often it is begun anew`);
  }
  return compact({ ...state, compactions, turnsLost: 0, lostTurns: [] }, null, assignment);
}

/** Repeats a model call whose executor was lost, within a limit. */
export const afterTurnLost = (state: LoopState, effectId: string): LoopState =>
  state.turnsLost + 1 < agentLimits.turnsLostMax
    ? { ...state, turnsLost: state.turnsLost + 1, lostTurns: [...(state.lostTurns ?? []), effectId] }
    : stop(
        state,
        `the outcome of ${agentLimits.turnsLostMax} model turns in a row is unknown: the gateway was lost each time`,
      );

const firstLine = ({ text }: TurnOutput): string =>
  'artifact' in text
    ? 'a long text'
    : text.text.trim().split('\n')[0]?.slice(0, agentLimits.eventTextCharactersMax) || 'without a word';

import type { ContentPart, ModelMessage, TextReference, ToolCall } from '@coppice/contracts';

/** What the agent does next. */
export type Step =
  /** Ask the model: to go on, or to sum up. */
  | { do: 'ask'; for: 'work' | 'summary' }
  /** Have the sandbox do these; `answered` are the results of the calls that it isn't asked for. */
  | { do: 'call'; calls: ToolCall[]; answered: Answered[]; finish: Finish | null }
  | { do: 'finish'; summary: string }
  | { do: 'stop'; reason: string };

/** A result by the place of its call in the model's answer. */
export type Answered = { place: number; result: ToolResultPart };
export type ToolResultPart = Extract<ContentPart, { type: 'tool-result' }>;
export type Finish = { place: number; callId: string; summary: string };

export type TodoItem = { text: string; done: boolean };

/**
 * What an agent knows between two steps: part of its task's value, so it holds ids, counters and hashes; the conversation itself is in the
 * transcript. What the model says is bounded before it gets here.
 */
export type LoopState = {
  next: Step;
  /** Turns that were answered, over all conversations. */
  turns: number;
  tokens: number;
  /** The last turn of the present conversation, which the next one continues; null: it begins anew. */
  turnId: string | null;
  /** What the next turn says beside what it continues. Of one that begins anew it is the opening, made from the rest. */
  messages: ModelMessage[];
  instructions: Instructions[];
  todo: TodoItem[];
  /** Of the conversations before the present one. */
  summary: string | null;
  /** The last calls and what came of them, a line each. */
  steps: string[];
  nudges: number;
  /** Hashes of the calls of the last turns. */
  callHashes: string[];
  /** The repetition that the model was told of, not to be told again. */
  repetitionTold: boolean;
  compactions: { inARow: number; atTurn: number };
  /** The conversation must be compacted before the model is asked to go on. */
  contextIsFull: boolean;
  /** Turns in a row whose executor was lost. */
  turnsLost: number;
  /** Their effects: the next turn asks for the same, and takes an answer that one of them has stored after all. Missing in what earlier versions stored. */
  lostTurns?: string[];
  /** Times in a row that an executor of calls was lost. Missing in tasks of versions before this was kept. */
  toolsLost?: number;
};

export type Instructions = { path: string; content: TextReference };

/** What of its task the agent works from. */
export type Assignment = {
  description: string;
  prompt: TextReference;
  verify: string | false;
  turnsMax: number;
  tokensMax: number | null;
  contextTokens: number;
};

export const newLoop = (): LoopState => ({
  next: { do: 'ask', for: 'work' },
  turns: 0,
  tokens: 0,
  turnId: null,
  messages: [],
  instructions: [],
  todo: [],
  summary: null,
  steps: [],
  nudges: 0,
  callHashes: [],
  repetitionTold: false,
  compactions: { inARow: 0, atTurn: 0 },
  contextIsFull: false,
  turnsLost: 0,
  lostTurns: [],
});

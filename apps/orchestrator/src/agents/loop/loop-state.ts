import type { ContentPart, ModelMessage, TextReference, ToolCall } from '@coppice/contracts';

export type Step =
  /** Make a model call that continues the work or summarizes it. */
  | { do: 'ask'; for: 'work' | 'summary' }
  /** Run these calls in the sandbox. `answered` contains the results of the turn's other calls. */
  | { do: 'call'; calls: ToolCall[]; answered: Answered[]; finish: Finish | null }
  | { do: 'finish'; summary: string }
  | { do: 'stop'; reason: string };

/** A result. `place` is the position of its call in the model's answer. */
export type Answered = { place: number; result: ToolResultPart };
export type ToolResultPart = Extract<ContentPart, { type: 'tool-result' }>;
export type Finish = { place: number; callId: string; summary: string };

export type TodoItem = { text: string; done: boolean };

/**
 * State of an agent between two steps. It is part of the task's value, so it must stay small. The conversation itself
 * is in the transcript. Text from the model is shortened before it is stored here.
 */
export type LoopState = {
  next: Step;
  /** Number of turns in all conversations of the task. */
  turns: number;
  tokens: number;
  /** Id of the last turn of the current conversation. Null if the next turn starts a conversation. */
  turnId: string | null;
  /** Messages that the next model call adds to the conversation. For a new conversation, they are its opening. */
  messages: ModelMessage[];
  instructions: Instructions[];
  todo: TodoItem[];
  summary: string | null;
  /** The last calls and their outcomes, one line each. */
  steps: string[];
  nudges: number;
  /** Hashes of the calls of the last turns, one for each turn. */
  callHashes: string[];
  /** True if the model was warned of the current repetition. */
  repetitionTold: boolean;
  compactions: { inARow: number; atTurn: number };
  /** True if the conversation must be compacted before the work continues. */
  contextIsFull: boolean;
  /** Number of consecutive model calls whose executor was lost. */
  turnsLost: number;
  /**
   * Effect ids of the model calls that `turnsLost` counts. The next call makes the same request, so it uses the answer
   * that one of these calls may have stored. Missing in values stored by earlier versions.
   */
  lostTurns?: string[];
  /** Number of consecutive losses of the executor of tool calls. Missing in values stored by earlier versions. */
  toolsLost?: number;
};

export type Instructions = { path: string; content: TextReference };

/** The part of the task that the agent works from. */
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

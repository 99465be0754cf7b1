import type { ContentPart, ModelMessage, TextReference, ToolCall } from '@coppice/contracts';

/** The agent's next step. */
export type Step =
  /** Make a model call: to continue the work, or to summarize it. */
  | { do: 'ask'; for: 'work' | 'summary' }
  /** Run these calls in the sandbox. `answered` has the results of the turn's other calls. */
  | { do: 'call'; calls: ToolCall[]; answered: Answered[]; finish: Finish | null }
  | { do: 'finish'; summary: string }
  | { do: 'stop'; reason: string };

/** A result, with the position of its call in the model's answer. */
export type Answered = { place: number; result: ToolResultPart };
export type ToolResultPart = Extract<ContentPart, { type: 'tool-result' }>;
export type Finish = { place: number; callId: string; summary: string };

export type TodoItem = { text: string; done: boolean };

/**
 * State of an agent between two steps. It is part of the task's value, so it must stay small: the conversation itself is in the transcript. Text from the model
 * is shortened to its limits before it is stored here.
 */
export type LoopState = {
  next: Step;
  /** Number of answered turns in all conversations of the task. */
  turns: number;
  tokens: number;
  /** Id of the last turn of the current conversation, which the next turn continues. Null if the next turn starts a conversation. */
  turnId: string | null;
  /** Messages that the next model call adds to the conversation. If it starts a conversation, they are the opening, which is made from the other fields. */
  messages: ModelMessage[];
  instructions: Instructions[];
  todo: TodoItem[];
  /** Summary of the earlier conversations. */
  summary: string | null;
  /** The last calls and their outcomes, one line each. */
  steps: string[];
  nudges: number;
  /** Hashes of the last turns' calls. */
  callHashes: string[];
  /** True if the model has been warned of the current repetition. */
  repetitionTold: boolean;
  compactions: { inARow: number; atTurn: number };
  /** True if the conversation must be compacted before the work continues. */
  contextIsFull: boolean;
  /** Number of consecutive model calls whose executor was lost. */
  turnsLost: number;
  /**
   * Effect ids of the model calls that `turnsLost` counts. The next call makes the same request. If one of these calls has stored an answer, the next call uses
   * it. Missing in values stored by earlier versions.
   */
  lostTurns?: string[];
  /** Number of consecutive losses of an executor of tool calls. Missing in tasks stored by earlier versions. */
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

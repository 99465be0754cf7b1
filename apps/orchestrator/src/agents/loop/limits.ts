import { toolLimits } from '@coppice/contracts';

/** The agent's limits, except those that a task sets. */
export const agentLimits = {
  /** Maximum number of calls in one turn; with more, the task fails. How many of them run is a limit of the tools (`callsPerTurnMax`). */
  callsMax: 64,
  /** Maximum size of the ids and names of all calls in one turn, in bytes; with more, the task fails. */
  callFramesBytesMax: 32 * 1024,
  /**
   * Number of consecutive answers without a call to which the agent replies with a request for a call. The next such answer counts as the end or, if it is
   * empty or cut off, as a failure.
   */
  nudgesMax: 2,
  /** Number of times in a row that the same turn has occurred: at `repeatsWarnedAt` the model is warned, at `repeatsMax` the task ends. */
  repeatsWarnedAt: 3,
  repeatsMax: 5,
  /** Maximum length of a repeated group of turns that is detected. In A B A B …, the group is A B and has length 2. */
  repeatPeriodMax: 3,
  /** Number of last turns whose calls are remembered to detect repeats. */
  rememberedTurns: 15,
  /** Share of the model's context beyond which the conversation is compacted. */
  contextShareMax: 0.8,
  /** Share of the model's context that the result of one call may take. */
  resultShareMax: 0.15,
  /**
   * Maximum number of consecutive compactions (see `turnsBetweenCompactionsMin`). If more are needed, the task fails, since it doesn't fit the model's context.
   */
  compactionsInARowMax: 3,
  /** A compaction counts as consecutive if at most this number of turns was made since the previous compaction. */
  turnsBetweenCompactionsMin: 3,
  /**
   * Number of consecutive model calls whose executor was lost, at which the task fails. Accidents don't cause that many losses in a row. The limit stops a call
   * that itself crashes the gateway.
   */
  turnsLostMax: 6,
  /** Number of consecutive losses of the executor of tool calls at which none of the calls is repeated any more. */
  toolsLostMax: 3,
  /** Number of last calls that a compacted conversation lists. */
  stepsKept: 20,
  stepCharactersMax: 160,
  /** Maximum size of a summary as JSON, in bytes, since the summary is part of the actor's value. */
  summaryBytesMax: 16 * 1024,
  todoBytesMax: 8 * 1024,
  bodyCharactersMax: 4_000,
  /** Maximum lengths of the texts in a turn's event. */
  eventTextCharactersMax: 200,
  eventAboutCharactersMax: 120,
  /** Number of remaining turns at which the model is warned, once. */
  turnsLeftWarnedAt: 3,
} as const;

/** Rough estimate, used for text whose tokens no provider has counted yet. */
export const charactersPerToken = 4;

/** Files of a repository that instruct an agent how to work in it. */
export const instructionFiles = ['AGENTS.md', 'CLAUDE.md'] as const;

/** Returns the maximum length of one call's result, in characters. It is shorter for a model with a small context. */
export function resultCharactersMax({ contextTokens }: { contextTokens: number }): number {
  const share = Math.floor(contextTokens * charactersPerToken * agentLimits.resultShareMax);
  return Math.max(toolLimits.resultCharactersMin, Math.min(toolLimits.resultCharactersMax, share));
}

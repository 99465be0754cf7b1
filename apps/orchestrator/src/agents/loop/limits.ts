import { toolLimits } from '@coppice/contracts';

/** The limits of the agent that a task can't change. */
export const agentLimits = {
  /** Maximum number of calls in one turn. With more, the task fails. Only the first `callsPerTurnMax` of them run. */
  callsMax: 64,
  /** Maximum size of the ids and names of all calls in one turn, in bytes. With more, the task fails. */
  callFramesBytesMax: 32 * 1024,
  /**
   * Maximum number of times in a row that the agent requests a tool call after an answer without one. The next such
   * answer ends the agent's work.
   */
  nudgesMax: 2,
  /**
   * Number of times in a row that the same turn occurs. At `repeatsWarnedAt` the model is warned. At `repeatsMax` the
   * task ends.
   */
  repeatsWarnedAt: 3,
  repeatsMax: 5,
  /**
   * Maximum length of a group of turns whose repetition is detected. In A B A B, the group is A B and its length is 2.
   */
  repeatPeriodMax: 3,
  /** Number of last turns that are searched for repetitions. */
  rememberedTurns: 15,
  /** The conversation is compacted if it exceeds this share of the model's context. */
  contextShareMax: 0.8,
  /** Maximum share of the model's context for the result of one call. */
  resultShareMax: 0.15,
  /**
   * Maximum number of consecutive compactions. If more are needed, the task fails, since it doesn't fit the model's
   * context.
   */
  compactionsInARowMax: 3,
  /** A compaction is consecutive if at most this number of turns has followed the previous compaction. */
  turnsBetweenCompactionsMin: 3,
  /**
   * Number of consecutive model calls with a lost executor at which the task fails. Accidents don't cause so many
   * losses in a row. The limit stops a call that itself crashes the gateway.
   */
  turnsLostMax: 6,
  /** Number of consecutive losses of the executor of tool calls after which no call is repeated. */
  toolsLostMax: 3,
  stepsKept: 20,
  stepCharactersMax: 160,
  /** Maximum size of a summary as JSON, in bytes. It is limited because the summary is part of the actor's value. */
  summaryBytesMax: 16 * 1024,
  todoBytesMax: 8 * 1024,
  bodyCharactersMax: 4_000,
  eventTextCharactersMax: 200,
  eventAboutCharactersMax: 120,
  /** Number of remaining turns at which the model gets one warning. */
  turnsLeftWarnedAt: 3,
} as const;

/** Rough estimate for text whose tokens no provider has counted yet. */
export const charactersPerToken = 4;

/** Files in which a repository instructs agents. */
export const instructionFiles = ['AGENTS.md', 'CLAUDE.md'] as const;

/** Returns the maximum length of one call's result, in characters. */
export function resultCharactersMax({ contextTokens }: { contextTokens: number }): number {
  const share = Math.floor(contextTokens * charactersPerToken * agentLimits.resultShareMax);
  return Math.max(toolLimits.resultCharactersMin, Math.min(toolLimits.resultCharactersMax, share));
}

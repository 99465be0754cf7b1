import { toolLimits } from '@coppice/contracts';

/** The agent's limits, except those that a task sets. */
export const agentLimits = {
  /** Maximum number of calls in one turn; with more, the task fails. How many of them run is a limit of the tools (`callsPerTurnMax`). */
  callsMax: 64,
  /** Bytes of the ids and names of one turn's calls. */
  callFramesBytesMax: 32 * 1024,
  /** Consecutive answers without a call that are tolerated. The next one counts as the end or, if it is empty or cut off, as a failure. */
  nudgesMax: 2,
  /** Times in a row that the same turn may occur: at the first number the model is warned, at the second the task ends. */
  repeatsWarnedAt: 3,
  repeatsMax: 5,
  /** Maximum length of a repeating group of turns; the group in A B A B … has length 2. */
  repeatPeriodMax: 3,
  /** Turns whose calls are remembered to detect repeats. */
  rememberedTurns: 15,
  /** Share of the model's context beyond which the conversation is compacted. */
  contextShareMax: 0.8,
  /** Share of the model's context that the result of one call may take. */
  resultShareMax: 0.15,
  /** Consecutive compactions with only a few turns in between. If more are needed, the task doesn't fit the model. */
  compactionsInARowMax: 3,
  /** Turns between two compactions, up to which the second one counts as consecutive. */
  turnsBetweenCompactionsMin: 3,
  /**
   * Number of consecutive model calls with a lost executor at which the task fails. Accidents cause fewer. The limit stops a call that itself crashes its
   * gateway.
   */
  turnsLostMax: 6,
  /** Consecutive losses of the executor of one turn's calls; after that none of the calls is repeated. */
  toolsLostMax: 3,
  /** Last calls that are listed in a compacted conversation. */
  stepsKept: 20,
  stepCharactersMax: 160,
  /** Maximum size of a summary as JSON, in bytes, since the summary is part of the actor's value. */
  summaryBytesMax: 16 * 1024,
  todoBytesMax: 8 * 1024,
  bodyCharactersMax: 4_000,
  /** Limits for the event of a turn. */
  eventTextCharactersMax: 200,
  eventAboutCharactersMax: 120,
  /** Number of remaining turns at which the model is warned, once. */
  turnsLeftWarnedAt: 3,
} as const;

/** Rough estimate, for text that no provider has counted yet. */
export const charactersPerToken = 4;

/** Files of a repository that instruct an agent how to work in it. */
export const instructionFiles = ['AGENTS.md', 'CLAUDE.md'] as const;

/** Characters of one call's result; fewer for a model with a small context. */
export function resultCharactersMax({ contextTokens }: { contextTokens: number }): number {
  const share = Math.floor(contextTokens * charactersPerToken * agentLimits.resultShareMax);
  return Math.max(toolLimits.resultCharactersMin, Math.min(toolLimits.resultCharactersMax, share));
}

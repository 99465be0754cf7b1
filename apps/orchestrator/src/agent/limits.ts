import { toolLimits } from '@coppice/contracts';

/** Every limit of the agent that isn't the task's own. */
export const agentLimits = {
  /** Calls in one turn that are answered at all; how many are done is a limit of the tools. */
  callsMax: 64,
  /** Of their ids and names. */
  callFramesBytesMax: 32 * 1024,
  /** Answers without a call in a row, before the last one counts as the end (or, where it is empty, as a failure). */
  nudgesMax: 2,
  /** How often the same turn is seen in a row before the model is told, and before the task ends. */
  repeatsToldAt: 3,
  repeatsMax: 5,
  /** Turns that repeat as a group: A B A B … */
  repeatPeriodMax: 3,
  /** The last turns whose calls are remembered to see that. */
  rememberedTurns: 15,
  /** Of the model's context; beyond it the conversation is compacted. */
  contextShareMax: 0.8,
  /** Of the model's context, for the result of one call. */
  resultShareMax: 0.15,
  /** Compactions in a row with hardly a turn in between: then the task doesn't fit the model. */
  compactionsInARowMax: 3,
  /** Fewer turns than this since the last compaction count as in a row. */
  turnsBetweenCompactionsMin: 3,
  /** Model turns in a row whose executor was lost: more than accidents bring about, and a bound for a turn that itself ends its gateway. */
  turnsLostMax: 6,
  /** Executors of one turn's calls that may be lost in a row; then nothing of it is repeated any more. */
  toolsLostMax: 3,
  /** The last calls that a compacted conversation is told. */
  stepsKept: 20,
  stepCharactersMax: 160,
  /** Of a summary, as JSON: it is part of the actor's value. */
  summaryBytesMax: 16 * 1024,
  todoBytesMax: 8 * 1024,
  bodyCharactersMax: 4_000,
  /** In the event of a turn. */
  eventTextCharactersMax: 200,
  eventAboutCharactersMax: 120,
  /** Told once when so many turns are left. */
  lastTurnsTold: 3,
} as const;

/** A rough measure, for what no provider has counted yet. */
export const charactersPerToken = 4;

/** The files of a repository that tell an agent how to work in it. */
export const instructionFiles = ['AGENTS.md', 'CLAUDE.md'] as const;

/** A small model is shown less at once. */
export function resultCharactersMax({ contextTokens }: { contextTokens: number }): number {
  const share = Math.floor(contextTokens * charactersPerToken * agentLimits.resultShareMax);
  return Math.max(toolLimits.resultCharactersMin, Math.min(toolLimits.resultCharactersMax, share));
}

/**
 * Limits of one import. An import that exceeds a limit fails with a message that names the limit, unless the limit's
 * comment says otherwise.
 */
export type ImportLimits = {
  fileBytesMax: number;
  totalBytesMax: number;
  changedPathsMax: number;
  /** Number of rules in one ignore file. Comments and empty lines don't count. */
  ignoreRulesMax: number;
  ignoreRuleBytesMax: number;
  /** Number of steps for matching ignore rules. A step is about one comparison of two characters. */
  matchingStepsMax: number;
  /** Number of visited files and folders. Ignored ones don't count. */
  entriesMax: number;
  depthMax: number;
  pathBytesMax: number;
  ignoreFileBytesMax: number;
  /**
   * Bytes read to compare files with their original content. Only files that were touched but have their original mode
   * and size are compared.
   */
  comparedBytesMax: number;
  /**
   * Part of `comparedBytesMax` for files larger than `fileBytesMax`. If it is used up, such a file counts as changed.
   */
  comparedLargeBytesMax: number;
  /**
   * Bytes that all checkpoints of a task may add to tasks.git. If they have added more, no more checkpoints are made.
   * No import fails because of this limit.
   */
  checkpointBytesMax: number;
};

export const importLimitsDefault: ImportLimits = {
  fileBytesMax: 64 * 1024 * 1024,
  totalBytesMax: 512 * 1024 * 1024,
  changedPathsMax: 50_000,
  entriesMax: 1_000_000,
  depthMax: 100,
  pathBytesMax: 4_000,
  ignoreFileBytesMax: 256 * 1024,
  ignoreRulesMax: 5_000,
  ignoreRuleBytesMax: 1_024,
  matchingStepsMax: 1_000_000_000,
  comparedBytesMax: 4 * 1024 * 1024 * 1024,
  comparedLargeBytesMax: 512 * 1024 * 1024,
  checkpointBytesMax: 2 * 1024 * 1024 * 1024,
};

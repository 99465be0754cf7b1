/** Limits of one import. Except where a limit says otherwise, the import fails if one is exceeded, and the message says how much is allowed. */
export type ImportLimits = {
  fileBytesMax: number;
  totalBytesMax: number;
  changedPathsMax: number;
  /** Rules in one ignore file, without comments and empty lines. */
  ignoreRulesMax: number;
  ignoreRuleBytesMax: number;
  /** Total matching work of the import. One step is about one comparison of a pattern's character with a name's. */
  matchingStepsMax: number;
  /** Visited files and folders, without ignored ones. */
  entriesMax: number;
  depthMax: number;
  pathBytesMax: number;
  ignoreFileBytesMax: number;
  /** Bytes read to compare files that were written to, but have their original mode and size, with their original content. */
  comparedBytesMax: number;
  /** Part of `comparedBytesMax` for files larger than `fileBytesMax`. Once it is used up, such a file counts as changed without being read. */
  comparedLargeBytesMax: number;
  /** Bytes added by all checkpoints of a task. Beyond it, no more checkpoints are made. */
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

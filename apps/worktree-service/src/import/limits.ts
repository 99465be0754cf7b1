/** What one import may bring. Exceeding one refuses the import; the message names the limit. */
export type ImportLimits = {
  fileBytesMax: number;
  totalBytesMax: number;
  changedPathsMax: number;
  /** Lines that are rules, in one ignore file. */
  ignoreRulesMax: number;
  ignoreRuleBytesMax: number;
  /** About one for each character of a pattern that is compared with one of a name, over the whole import. */
  matchingStepsMax: number;
  /** Files and folders looked at, ignored ones not counted. */
  entriesMax: number;
  depthMax: number;
  pathBytesMax: number;
  ignoreFileBytesMax: number;
  /** Of files that were written to since they were given, with mode and size as they were: read to be compared with what was given. */
  comparedBytesMax: number;
  /** Of these, in files larger than `fileBytesMax`: beyond it, such a file is taken for changed unread. */
  comparedLargeBytesMax: number;
  /** Added by all checkpoints of a task: after that, none is made. */
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

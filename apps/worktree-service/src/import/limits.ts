/** What one import may bring. Exceeding one refuses the import; the message names the limit. */
export type ImportLimits = {
  fileBytesMax: number;
  totalBytesMax: number;
  changedPathsMax: number;
  /** Files and folders looked at, ignored ones not counted. */
  entriesMax: number;
  depthMax: number;
  pathBytesMax: number;
  ignoreFileBytesMax: number;
};

export const importLimitsDefault: ImportLimits = {
  fileBytesMax: 64 * 1024 * 1024,
  totalBytesMax: 512 * 1024 * 1024,
  changedPathsMax: 50_000,
  entriesMax: 1_000_000,
  depthMax: 100,
  pathBytesMax: 4_000,
  ignoreFileBytesMax: 256 * 1024,
};

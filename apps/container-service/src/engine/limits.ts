import type { Limits } from './port.ts';

const kibibyte = 1024;
const mebibyte = 1024 * kibibyte;
const gibibyte = 1024 * mebibyte;

export const limitsDefault: Limits = {
  memoryBytes: 2 * gibibyte,
  cpus: 2,
  pids: 512,
  diskBytes: 10 * gibibyte,
  scratchBytes: gibibyte,
};

/** Allowed range of each limit. Docker itself rejects memory limits below 6 MiB. */
export const limitsRange: Record<keyof Limits, { min: number; max: number }> = {
  memoryBytes: { min: 16 * mebibyte, max: 1024 * gibibyte },
  cpus: { min: 0.1, max: 1024 },
  pids: { min: 8, max: 1_000_000 },
  diskBytes: { min: mebibyte, max: 16_384 * gibibyte },
  scratchBytes: { min: 64 * kibibyte, max: 1024 * gibibyte },
};

/** Maximum number of commands that one process runs at the same time in one sandbox. */
export const commandsAtOnceMax = 8;
export const mountsMax = 64;
export const environmentBytesMax = 64 * kibibyte;
/**
 * Maximum size of a command. Linux rejects a single argument of 128 KiB or more, and bubblewrap and docker-init add arguments of their own.
 */
export const commandBytesMax = 120 * kibibyte;
export const stdinBytesMax = 64 * mebibyte;

export const timeoutMsDefault = 10 * 60_000;
export const timeoutMsMax = 24 * 60 * 60_000;
/** Maximum time between the request to the engine and the start of the command. */
export const launchMsMax = 60_000;
/** Maximum time to wait until all processes of a killed command have ended. */
export const killWaitMsMax = 15_000;

export const keepBytesDefault = 32 * kibibyte;
export const keepBytesMax = mebibyte;
export const liveBufferBytesMax = 256 * kibibyte;
export const liveChunkBytesMax = 32 * kibibyte;
/** Maximum size of a full log, which is held in memory while it is stored. */
export const logBytesMax = 16 * mebibyte;

/** Interval of disk checks. The pause after a slow check is `diskWatchRatio` times as long as the check. */
export const diskWatchIntervalMs = 1_000;
export const diskWatchRatio = 10;
/**
 * If the last count took at most this time, every check counts again, so that space freed by other programs can't hide
 * growth.
 */
export const diskCountMsCheap = 20;
/** Maximum age of a count. An older count is repeated even if the file system has not grown. */
export const diskCountMsMax = 60_000;
/** Maximum number of sandboxes whose last count is kept. */
export const diskMetersMax = 1_000;
/** Maximum number of entries that a check counts. With more, the disk limit counts as exceeded. */
export const diskWatchEntriesMax = 2_000_000;
/**
 * Maximum depth of folders, since each level of the walk keeps a descriptor open. With deeper folders, the disk limit
 * counts as exceeded.
 */
export const diskWatchDepthMax = 256;
/**
 * Maximum number of descriptors, of all threads of a sandbox, that a check reads. With more, the disk limit counts as
 * exceeded.
 */
export const heldDescriptorsMax = 2_000_000;

import type { Limits } from './port.ts';

const kibibyte = 1024;
const mebibyte = 1024 * kibibyte;
const gibibyte = 1024 * mebibyte;

/** Limits of a sandbox whose specification names none. */
export const limitsDefault: Limits = {
  memoryBytes: 2 * gibibyte,
  cpus: 2,
  pids: 512,
  diskBytes: 10 * gibibyte,
  scratchBytes: gibibyte,
};

/** Allowed range of each limit. Docker rejects less than 6 MiB of memory. */
export const limitsRange: Record<keyof Limits, { min: number; max: number }> = {
  memoryBytes: { min: 16 * mebibyte, max: 1024 * gibibyte },
  cpus: { min: 0.1, max: 1024 },
  pids: { min: 8, max: 1_000_000 },
  diskBytes: { min: mebibyte, max: 16_384 * gibibyte },
  scratchBytes: { min: 64 * kibibyte, max: 1024 * gibibyte },
};

/** Maximum number of concurrent commands of one sandbox that one process runs. */
export const commandsAtOnceMax = 8;
export const mountsMax = 64;
export const environmentBytesMax = 64 * kibibyte;
/** Linux rejects a single argument of 128 KiB or more; bubblewrap and docker-init add arguments of their own. */
export const commandBytesMax = 120 * kibibyte;
export const stdinBytesMax = 64 * mebibyte;

export const timeoutMsDefault = 10 * 60_000;
export const timeoutMsMax = 24 * 60 * 60_000;
/** Maximum time from the request to the engine until the command runs. */
export const launchMsMax = 60_000;
/** Maximum time to wait for the end of all processes. After that, the engine counts as lost. */
export const killWaitMsMax = 15_000;

export const keepBytesDefault = 32 * kibibyte;
export const keepBytesMax = mebibyte;
export const liveBufferBytesMax = 256 * kibibyte;
export const liveChunkBytesMax = 32 * kibibyte;
/** Maximum size of a full log, which is held in memory while it is stored. */
export const logBytesMax = 16 * mebibyte;

/** Interval of disk checks. After a slow check the next one waits `diskWatchRatio` times as long as it took. */
export const diskWatchIntervalMs = 1_000;
export const diskWatchRatio = 10;
/** Counts that take no longer than this run at every check, so that space freed by other programs can't hide growth. */
export const diskCountMsCheap = 20;
/** Maximum age of a count, even if the file system has not grown. */
export const diskCountMsMax = 60_000;
/** Number of sandboxes for which the last count is kept. Others are counted again. */
export const diskMetersMax = 1_000;
/** Maximum number of entries that a check counts; more count as over the limit. */
export const diskWatchEntriesMax = 2_000_000;
/** Maximum depth of folders in a check; deeper ones count as over the limit. Each level of a walk holds a descriptor open. */
export const diskWatchDepthMax = 256;
/** Maximum number of descriptors, of all threads of a sandbox, that a check reads; more count as over the limit. */
export const heldDescriptorsMax = 2_000_000;

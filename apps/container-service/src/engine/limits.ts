import type { Limits } from './port.ts';

const kibibyte = 1024;
const mebibyte = 1024 * kibibyte;
const gibibyte = 1024 * mebibyte;

/** What a sandbox gets that asks for nothing. */
export const limitsDefault: Limits = {
  memoryBytes: 2 * gibibyte,
  cpus: 2,
  pids: 512,
  diskBytes: 10 * gibibyte,
  scratchBytes: gibibyte,
};

/** What may be asked for. Docker refuses less than 6 MiB of memory. */
export const limitsRange: Record<keyof Limits, { min: number; max: number }> = {
  memoryBytes: { min: 16 * mebibyte, max: 1024 * gibibyte },
  cpus: { min: 0.1, max: 1024 },
  pids: { min: 8, max: 1_000_000 },
  diskBytes: { min: mebibyte, max: 16_384 * gibibyte },
  scratchBytes: { min: 64 * kibibyte, max: 1024 * gibibyte },
};

/** Commands of one sandbox that one process runs at once. */
export const commandsAtOnceMax = 8;
export const mountsMax = 64;
export const environmentBytesMax = 64 * kibibyte;
/** Linux takes no single argument of 128 KiB or more, and bubblewrap and docker-init add some of their own. */
export const commandBytesMax = 120 * kibibyte;
export const stdinBytesMax = 64 * mebibyte;

export const timeoutMsDefault = 10 * 60_000;
export const timeoutMsMax = 24 * 60 * 60_000;
/** From the request to the engine until the command runs. */
export const launchMsMax = 60_000;
/** How long the end of all processes is waited for before the engine counts as lost. */
export const killWaitMsMax = 15_000;

export const keepBytesDefault = 32 * kibibyte;
export const keepBytesMax = mebibyte;
export const liveBufferBytesMax = 256 * kibibyte;
export const liveChunkBytesMax = 32 * kibibyte;
/** Of a full log, which is held in memory once while it is stored. */
export const logBytesMax = 16 * mebibyte;

/** The first look at the disk comes after this; a slow count makes the next one wait `diskWatchRatio` times as long. */
export const diskWatchIntervalMs = 1_000;
export const diskWatchRatio = 10;
/** A count that takes no longer is done at every look: others who free space meanwhile can't hide anything then. */
export const diskCountMsCheap = 20;
/** However little the file system has grown, what a command has written is counted again after this. */
export const diskCountMsMax = 60_000;
/** Sandboxes whose last count is remembered; one that is forgotten is counted anew. */
export const diskMetersMax = 1_000;
/** More entries than this can't be watched. */
export const diskWatchEntriesMax = 2_000_000;
/** Folders deeper than this aren't looked into; each level of a walk holds a descriptor. */
export const diskWatchDepthMax = 256;
/** More descriptors than this, of all threads of a sandbox, can't be watched. */
export const heldDescriptorsMax = 2_000_000;

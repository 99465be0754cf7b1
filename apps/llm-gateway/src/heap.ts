import { getHeapStatistics } from 'node:v8';

/** Returns a share of the process's heap limit in bytes, at least `bytesMin`. */
export const bytesOfHeap = (share: number, bytesMin: number): number =>
  Math.max(bytesMin, getHeapStatistics().heap_size_limit * share);

import { getHeapStatistics } from 'node:v8';

/** A share of the process's heap limit, in bytes. */
export const bytesOfHeap = (share: number, bytesMin: number): number =>
  Math.max(bytesMin, getHeapStatistics().heap_size_limit * share);

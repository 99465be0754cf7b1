import { getHeapStatistics } from 'node:v8';

/** A share of what the process may have on its heap, in bytes. */
export const bytesOfHeap = (share: number, bytesMin: number): number =>
  Math.max(bytesMin, getHeapStatistics().heap_size_limit * share);

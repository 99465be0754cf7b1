/** Messages between the benchmark and the load generator, and the pace of the upstream's answers. */
export const chunksPerStream = 50;
export const pacedFirstChunkMs = 40;
export const pacedChunkMs = 2;

/**
 * Kind of request and answer. `whole` is one JSON answer at once. `stream` sends all chunks at once. `paced` sends
 * chunks at the pace of a real model.
 */
export type Kind = 'whole' | 'stream' | 'paced';

export type Load = {
  url: string;
  headers: Record<string, string>;
  /** Address of the NATS server if the target is called over the bus; null if it is called by `url`. */
  bus: string | null;
  /** The target's name for the model. The upstream answers slowly if this name contains `paced`. */
  model: string;
  kind: Kind;
  atOnce: number;
  count: number;
};

export type LoadResult = {
  /** Milliseconds from each request until the end of its answer, sorted. */
  totalMs: number[];
  /** Milliseconds from each request until the first chunk of its answer, sorted. */
  firstChunkMs: number[];
  tookMs: number;
};

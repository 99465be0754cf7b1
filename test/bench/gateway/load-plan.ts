/** Messages between the benchmark and the load generator, and the pace of the upstream's answers. */
export const chunksPerStream = 50;
export const pacedFirstChunkMs = 40;
export const pacedChunkMs = 2;

/** Kind of request and answer. `whole`: one JSON answer at once. `stream`: all chunks at once. `paced`: chunks at the pace of a real model. */
export type Kind = 'whole' | 'stream' | 'paced';

export type Load = {
  url: string;
  headers: Record<string, string>;
  /** Address of the NATS server if the target is called over the bus; null if it is called by `url`. */
  bus: string | null;
  /** The target's name for the model. It contains `paced` when the upstream has to answer slowly. */
  model: string;
  kind: Kind;
  atOnce: number;
  count: number;
};

export type LoadResult = {
  /** Times from the request until the end of the answer, sorted. */
  totalMs: number[];
  /** Times from the request until the first chunk of the answer, sorted. */
  firstChunkMs: number[];
  /** Time for all requests. */
  tookMs: number;
};

export const chunksPerStream = 50;
export const pacedFirstChunkMs = 40;
export const pacedChunkMs = 2;

/** `whole` is one JSON answer. `stream` sends all chunks at once. `paced` sends chunks at the pace of a real model. */
export type Kind = 'whole' | 'stream' | 'paced';

export type Load = {
  url: string;
  headers: Record<string, string>;
  /** Address of the NATS server. Null if the target is called by `url`. */
  bus: string | null;
  /** The target's name for the model. The upstream answers slowly if this name contains `paced`. */
  model: string;
  kind: Kind;
  atOnce: number;
  count: number;
};

export type LoadResult = {
  /** Sorted milliseconds from each request until the end of its answer. */
  totalMs: number[];
  /** Sorted milliseconds from each request until the first chunk of its answer. */
  firstChunkMs: number[];
  tookMs: number;
};

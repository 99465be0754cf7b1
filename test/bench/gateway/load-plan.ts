/** The requests, and how the upstream answers them. */
export const chunksPerStream = 50;
export const pacedFirstChunkMs = 40;
export const pacedChunkMs = 2;

/** `whole` and `stream` are answered at once. */
export type Kind = 'whole' | 'stream' | 'paced';

export type Load = {
  url: string;
  headers: Record<string, string>;
  /** Addresses of a NATS server when the target is called over the bus instead of the URL; else null. */
  bus: string | null;
  /** The target's name for the model; it contains `paced` when the upstream has to be slow. */
  model: string;
  kind: Kind;
  atOnce: number;
  count: number;
};

export type LoadResult = {
  /** Times from the request to the end of the answer, and to its first chunk, sorted. */
  totalMs: number[];
  firstChunkMs: number[];
  tookMs: number;
};

/** What is asked, and how the upstream answers. */
export const chunksPerStream = 50;
export const pacedFirstChunkMs = 40;
export const pacedChunkMs = 2;

/** `whole` and `stream` are answered at once. */
export type Kind = 'whole' | 'stream' | 'paced';

export type Load = {
  url: string;
  headers: Record<string, string>;
  /** Addresses of a NATS server, of one that is asked on the bus and not at the URL; else null. */
  bus: string | null;
  /** As the target names it; `paced` is in it where the upstream is to be slow. */
  model: string;
  kind: Kind;
  atOnce: number;
  count: number;
};

export type LoadResult = {
  /** From the request to the end of the answer, and to its first piece, sorted. */
  totalMs: number[];
  firstChunkMs: number[];
  tookMs: number;
};

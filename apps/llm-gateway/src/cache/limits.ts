export const cacheLimits = {
  ttlMsMin: 1_000,
  ttlMsMax: 30 * 86_400_000,
  /** Maximum compressed size of a stored answer. It must fit in one value of the bucket. */
  entryBytesMax: 256 * 1024,
  entryBytesMin: 1_024,
  /** Maximum size of an answer before compression. Decoding such an answer blocks the process for about 20 ms. */
  answerBytesMax: 2 * 1024 * 1024,
  answerDeltasMax: 20_000,
  /**
   * Maximum uncompressed bytes of all decoded answers that aren't delivered yet. These answers take up to three times
   * as much memory.
   */
  heldBytesMax: 16 * 1024 * 1024,
  /** Maximum number of concurrent lookups. Further calls skip the cache. */
  lookUpsMax: 128,
  /** A lookup that takes longer counts as a miss. */
  lookUpMsMax: 500,
  /**
   * Longest wait until an answer fits within `heldBytesMax`. A request to a provider takes longer than this wait and
   * costs money.
   */
  roomMsMax: 1_000,
  /** Maximum number of concurrent writes. Further answers aren't stored. */
  writesMax: 64,
} as const;

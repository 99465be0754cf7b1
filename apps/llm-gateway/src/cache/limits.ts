export const cacheLimits = {
  ttlMsMin: 1_000,
  ttlMsMax: 30 * 86_400_000,
  /** Largest compressed answer. It must fit in a value of the bucket. */
  entryBytesMax: 256 * 1024,
  entryBytesMin: 1_024,
  /** Largest answer before compression. Decoding an answer of this size blocks the process for about 20 ms. */
  answerBytesMax: 2 * 1024 * 1024,
  answerDeltasMax: 20_000,
  /**
   * Uncompressed bytes of all decoded answers that aren't delivered yet. In memory they take up to three times as much.
   */
  heldBytesMax: 16 * 1024 * 1024,
  /** Concurrent lookups. Further calls skip the cache. */
  lookUpsMax: 128,
  /** A lookup that takes longer counts as a miss. */
  lookUpMsMax: 500,
  /** Longest wait until an answer fits in `heldBytesMax`. A call to a provider would take longer, and cost money. */
  roomMsMax: 1_000,
  /** Concurrent writes. Further answers aren't stored. */
  writesMax: 64,
} as const;

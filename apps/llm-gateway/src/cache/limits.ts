/** Every limit of the answer cache. */
export const cacheLimits = {
  ttlMsMin: 1_000,
  ttlMsMax: 30 * 86_400_000,
  /** A stored answer, compressed: it must fit a value of the bucket. */
  entryBytesMax: 256 * 1024,
  entryBytesMin: 1_024,
  /** An answer before compression: decoding one of this size blocks the process for some 20 ms. */
  answerBytesMax: 2 * 1024 * 1024,
  answerDeltasMax: 20_000,
  /** All answers that are decoded and not yet delivered, by uncompressed size: in memory they take up to three times that. */
  heldBytesMax: 16 * 1024 * 1024,
  /** Concurrent lookups; further calls skip the cache. */
  lookUpsMax: 128,
  /** A lookup that takes longer counts as a miss. */
  lookUpMsMax: 500,
  /** Wait for room among the decoded answers: calling a provider takes longer, and costs money. */
  roomMsMax: 1_000,
  /** Concurrent writes; further answers aren't stored. */
  writesMax: 64,
} as const;

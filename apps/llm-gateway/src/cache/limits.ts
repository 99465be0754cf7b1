/** All limits of the answer cache. */
export const cacheLimits = {
  ttlMsMin: 1_000,
  ttlMsMax: 30 * 86_400_000,
  /** Largest stored answer, compressed. It must fit in a value of the bucket. */
  entryBytesMax: 256 * 1024,
  entryBytesMin: 1_024,
  /** Largest answer before compression. Decoding an answer of this size blocks the process for about 20 ms. */
  answerBytesMax: 2 * 1024 * 1024,
  answerDeltasMax: 20_000,
  /** Uncompressed bytes of all answers that are decoded and not yet delivered. In memory they take up to three times as much. */
  heldBytesMax: 16 * 1024 * 1024,
  /** Concurrent lookups. Further calls skip the cache. */
  lookUpsMax: 128,
  /** A lookup that takes longer counts as a miss. */
  lookUpMsMax: 500,
  /** Longest wait until a decoded answer fits within `heldBytesMax`. Calling a provider takes longer than this wait, and costs money. */
  roomMsMax: 1_000,
  /** Concurrent writes. Further answers aren't stored. */
  writesMax: 64,
} as const;

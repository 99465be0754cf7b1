/** Every limit of the cache of answers. */
export const cacheLimits = {
  ttlMsMin: 1_000,
  ttlMsMax: 30 * 86_400_000,
  /** Of an answer as it is kept, compressed: it must fit a value of the bucket. */
  entryBytesMax: 256 * 1024,
  entryBytesMin: 1_024,
  /** Of an answer before it is compressed: reading it again takes some 20 ms in which nothing else is done. */
  answerBytesMax: 2 * 1024 * 1024,
  answerDeltasMax: 20_000,
  /** Of all answers that are read at once, until their clients have them, as they were before they were compressed: in memory they take up to three times that. */
  heldBytesMax: 16 * 1024 * 1024,
  /** At once; who comes then is answered as if nothing were kept. */
  lookUpsMax: 128,
  /** A bucket that doesn't answer by then has no answer. */
  lookUpMsMax: 500,
  /** For room among those that are read at once: to ask a provider takes longer, and costs. */
  roomMsMax: 1_000,
  /** Answers that are being written at once; more aren't kept. */
  writesMax: 64,
} as const;

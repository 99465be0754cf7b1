/** Every limit of the cache of answers. */
export const cacheLimits = {
  ttlMsMin: 1_000,
  ttlMsMax: 30 * 86_400_000,
  /** Of an answer as it is kept, compressed: it must fit a value of the bucket. */
  entryBytesMax: 256 * 1024,
  entryBytesMin: 1_024,
  /** Of an answer before it is compressed, while it is collected and when it is read. */
  answerBytesMax: 8 * 1024 * 1024,
  answerDeltasMax: 100_000,
  /** A cache that doesn't answer by then has no answer. */
  lookUpMsMax: 500,
  /** Answers that are being written at once; more aren't kept. */
  writesMax: 64,
} as const;

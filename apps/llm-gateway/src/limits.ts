/** Every limit of the gateway. */
export const gatewayLimits = {
  /** Turns in progress at once, in one process. */
  concurrency: 64,
  /** How often a provider is asked for one turn before its error is the turn's. */
  attemptsMax: 4,
  /** The pause before the second attempt; it doubles each time. */
  pauseMsMin: 500,
  pauseMsMax: 30_000,
  /** A provider that asks to wait longer than this isn't waited for: the actor decides. */
  retryAfterMsMax: 5 * 60_000,
  /** Of the texts that one request holds by reference, together. */
  promptBytesMax: 64 * 1024 * 1024,
  /** Of one answer. */
  textBytesMax: 16 * 1024 * 1024,
  /** How often the transcript's server is asked to store one entry. */
  transcriptWritesMax: 3,
  scriptBytesMax: 4 * 1024 * 1024,
} as const;

/** Limits of the choice between providers: retries, circuit breakers and queues. */
export const exchangeLimits = {
  /** Events held back before the first semantic output, while another provider can still be tried. */
  peekEventsMax: 256,
  /**
   * Bytes of those events. The first event of some providers repeats the whole request. A larger opening is passed on, and no other provider is tried after
   * that.
   */
  peekBytesMax: 2 * 1024 * 1024,

  /** Candidates of one alias. */
  candidatesMax: 16,

  /** Attempts of one call at one candidate. */
  attemptsMax: 4,
  /** Pause before the second attempt; it doubles before each further attempt, up to `pauseMsMax`. */
  pauseMsMin: 500,
  pauseMsMax: 30_000,
  /** A candidate whose provider states a longer wait isn't retried in the same call, so that the caller decides whether to wait. */
  retryAfterMsMax: 5 * 60_000,

  /** Consecutive failed calls that open the breaker. */
  failuresMax: 3,
  /** Time the breaker stays open before one call probes. */
  openMs: 60_000,
  /** Time for which the other instances leave the probe to the one that announced it. */
  probeHoldMs: 15_000,
  /** Longest cool-down; a provider that states a longer wait is tried again after this. */
  coolDownMsMax: 60 * 60_000,
  /** Shorter cool-downs aren't shared: they would be over before the other instances could use them. */
  sharedCoolDownMsMin: 500,
  /** Models whose state is kept in memory; the least recently used is dropped first. */
  circuitsMax: 1_000,
  /** Characters kept of a model's last failure. */
  lastFailureCharactersMax: 500,
  /** Random extra wait where many calls wait for the same time: maximum as a fraction of the wait. */
  jitterPart: 0.1,
  /** Random extra wait: absolute maximum. */
  jitterMsMax: 2_000,

  /** Concurrent calls at one provider in one process, unless the configuration sets it. */
  concurrency: 256,
  /** Calls that wait for one provider. */
  waitingMax: 4_096,
} as const;

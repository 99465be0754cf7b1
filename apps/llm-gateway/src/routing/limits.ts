/** Limits of the choice between providers: retries, circuit breakers and queues. */
export const exchangeLimits = {
  /** Deltas held back before the first output, while another provider can still be tried. */
  peekEventsMax: 256,
  /**
   * UTF-16 code units of the raw events among these deltas, since the first event of some providers repeats the whole request. If there are more, they are
   * passed on, and no other provider is tried after that.
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

  /** Consecutive failed calls that open the circuit breaker. */
  failuresMax: 3,
  /** Time for which the breaker stays open before one call probes. */
  openMs: 60_000,
  /** Time for which the other instances send no probe after one instance has announced its own. */
  probeHoldMs: 15_000,
  /** Longest cool-down. A provider that states a longer wait is tried again after this time. */
  coolDownMsMax: 60 * 60_000,
  /** Shortest cool-down that is shared. A shorter one would be over before the other instances could apply it. */
  sharedCoolDownMsMin: 500,
  /** Models whose health is kept in memory. The least recently used is dropped first. */
  circuitsMax: 1_000,
  /** Characters of a model's last failure that are kept. */
  lastFailureCharactersMax: 500,
  /** Random extra wait, since many calls may wait for the same time: maximum as a fraction of the wait. */
  jitterPart: 0.1,
  /** Random extra wait: maximum in milliseconds. */
  jitterMsMax: 2_000,

  /** Concurrent calls at one provider in one process, unless the configuration sets another number. */
  concurrency: 256,
  /** Calls that wait for one provider. */
  waitingMax: 4_096,
} as const;

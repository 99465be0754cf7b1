/** Limits of the choice between providers: retries, circuit breakers and queues. */
export const exchangeLimits = {
  /**
   * Maximum number of deltas that are held back before the first output. If there are more, they are passed on, and no
   * other provider is tried.
   */
  peekEventsMax: 256,
  /**
   * Size of the raw events among these deltas, in UTF-16 code units. The limit is high, since the first event of some
   * providers repeats the whole request.
   */
  peekBytesMax: 2 * 1024 * 1024,

  /** Maximum number of candidates of an alias. */
  candidatesMax: 16,

  /** Maximum number of attempts of one call at one candidate. */
  attemptsMax: 4,
  /** Pause before the second attempt. It doubles before each further attempt, up to `pauseMsMax`. */
  pauseMsMin: 500,
  pauseMsMax: 30_000,
  /** If a provider states a longer wait, the call doesn't try it again, so that the caller decides whether to wait. */
  retryAfterMsMax: 5 * 60_000,

  /** Consecutive failed calls that open the circuit breaker. */
  failuresMax: 3,
  /** Time for which the breaker stays open before one call probes. */
  openMs: 60_000,
  /** Time for which the other instances send no probe after one instance has announced a probe. */
  probeHoldMs: 15_000,
  /** Longest cool-down. A provider that states a longer wait is tried again after this time. */
  coolDownMsMax: 60 * 60_000,
  /** Shortest cool-down that is shared. A shorter one would end before the other instances could apply it. */
  sharedCoolDownMsMin: 500,
  /** Number of models whose health is kept in memory. The least recently used model is dropped first. */
  circuitsMax: 1_000,
  /** Length limit for the text of a model's last failure, in characters. */
  lastFailureCharactersMax: 500,
  /**
   * Maximum of the random extra wait, as a fraction of the wait. Without it, many calls would continue at the same
   * moment.
   */
  jitterPart: 0.1,
  /** Maximum of the random extra wait in milliseconds. */
  jitterMsMax: 2_000,

  /** Number of concurrent calls from one process to one provider, unless the configuration sets another number. */
  concurrency: 256,
  /** Maximum number of calls that wait for one provider. */
  waitingMax: 4_096,
} as const;

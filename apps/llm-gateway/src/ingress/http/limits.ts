/** All limits of the HTTP façade. */
export const facadeLimits = {
  /**
   * Longest single wait until a model may be tried. A request whose candidates all need longer is rejected at once, so that the client decides how long to
   * wait.
   */
  candidateWaitMsMax: 10_000,
  /** Time for which one candidate may wait for budget that calls in flight have reserved. It is counted from the first refusal by a budget. */
  budgetWaitMsMax: 10_000,
  /** Bytes of one request's body, including inline images. Reading, translating and sending it takes about eight times as much memory. */
  bodyBytesMax: 20 * 1024 * 1024,
  /** Share of the heap limit for the bodies of all requests in memory. At least one body of `bodyBytesMax` fits. */
  bodiesOfHeapMax: 1 / 8,
  /** JSON values in one body. A long conversation with many tools has about ten thousand. */
  bodyValuesMax: 100_000,
  bodyDepthMax: 128,
  /** Items of answers that clients reference by id (kept-items.ts). */
  items: {
    /** Bytes of the items of one answer, which must fit in a value of the bucket. */
    answerBytesMax: 256 * 1024,
    /** Keys stored for one answer whose items have a key each. */
    keysMax: 128,
    /** Keys read for one request. */
    answersMax: 1_000,
    /** Concurrent reads for one request. */
    readsAtOnce: 16,
    /** Bytes that the reads of all requests may have reserved. */
    readingBytesMax: 16 * 1024 * 1024,
    /** Timeout of one operation of the bucket (`waitMsMax`), and of all reads for one request (`readMsMax`). */
    waitMsMax: 500,
    readMsMax: 5_000,
  },
  /** Same limit as in runs and on the bus. The state that the gateway keeps about models is stored by name. */
  modelCharactersMax: 255,
  /** Concurrent requests. Further requests are rejected with `unavailable`. */
  requestsMax: 1_000,
  connectionsMax: 4_000,
  headerBytesMax: 32 * 1024,
  /** Time in which a client must send its headers (`headersMsMax`), and the whole request (`requestMsMax`). */
  headersMsMax: 15_000,
  /** Time in which a client that sent no valid HTTP request must read the rejection. */
  refusedMsMax: 1_000,
  requestMsMax: 5 * 60_000,
  /** Time for which a connection may wait for its next request. */
  keepAliveMsMax: 75_000,
  /** Longest wait for a client that doesn't read: this time, … */
  stalledClientMsMax: 2 * 60_000,
  /** … plus the time that sending the buffered output takes at this rate. */
  slowClientBytesPerSecond: 32 * 1024,
  /**
   * Time for which a stream's status is held back, so that an error before any output can still set the status. The time is limited, since clients give up on
   * servers that send nothing.
   */
  statusHeldMsMax: 30_000,
  /** Time after which a keep-alive is sent if a stream has no output. */
  silenceMsMax: 15_000,
  /** Time limit of one request, the same as for an agent's model call. */
  answerMsMax: 60 * 60_000,
  /** Time for which a stopping façade lets answers continue before it ends them with an error, … */
  drainMs: 20_000,
  /** … and longest wait until the clients have received that error. */
  breakOffMs: 2_000,
  /** Models listed per provider. */
  modelsMax: 1_000,
  /** Time for which the list of models is cached. */
  modelsMsMax: 60_000,
} as const;

export const tokenLimits = {
  charactersMax: 8 * 1024,
  /** Deadline of requests to the orchestrator, a little shorter than that of the client that requests a token. */
  ownerRequestMsMax: 4_000,
  /** Largest accepted difference between the clocks of two machines. */
  clockToleranceMs: 10_000,
  /** TTL of a published key. It is longer than the lifetime of a token, so the key outlives every token that was signed since the key was last published. */
  keyTtlMs: 30 * 3_600_000,
  keyRefreshMs: 3_600_000,
  /** Time for which a key from the bucket is cached (`keyKnownMsMax`), and for which its absence is (`keyMissingMsMax`). */
  keyKnownMsMax: 5 * 60_000,
  keyMissingMsMax: 5_000,
  keysMax: 1_000,
  /** Time for which a verified token is cached (`verifiedMsMax`), and the number of cached tokens (`verifiedMax`). */
  verifiedMsMax: 60_000,
  verifiedMax: 10_000,
} as const;

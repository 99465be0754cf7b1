export const facadeLimits = {
  /**
   * Longest single wait until a candidate may be tried. If each candidate needs a longer wait, the request fails at
   * once, so that the client decides how long to wait.
   */
  candidateWaitMsMax: 10_000,
  /**
   * Longest time for which a candidate waits for budget that other calls have reserved. The time starts at the first
   * refusal by a budget.
   */
  budgetWaitMsMax: 10_000,
  /**
   * Maximum size of one request's body. Reading, translating and sending a body takes memory of about eight times its
   * size.
   */
  bodyBytesMax: 20 * 1024 * 1024,
  /** Share of the heap limit that the bodies of all requests together may use, but never less than `bodyBytesMax`. */
  bodiesOfHeapMax: 1 / 8,
  /** Maximum number of JSON values in one body. A long conversation with many tools has about ten thousand. */
  bodyValuesMax: 100_000,
  bodyDepthMax: 128,
  /** Limits for stored items (kept-items.ts). */
  items: {
    /**
     * Maximum size of a stored value. A value contains one item or all items of an answer. The bucket must accept
     * values of this size.
     */
    answerBytesMax: 256 * 1024,
    /** Maximum number of keys stored for one answer, if each of its items has its own key. */
    keysMax: 128,
    /** Maximum number of keys read for one request. */
    answersMax: 1_000,
    /** Maximum number of concurrent reads for one request. */
    readsAtOnce: 16,
    /** Maximum number of bytes that the reads of all requests together may reserve. */
    readingBytesMax: 16 * 1024 * 1024,
    /** `waitMsMax` is the timeout of one bucket operation. `readMsMax` limits all reads for one request. */
    waitMsMax: 500,
    readMsMax: 5_000,
  },
  /**
   * Limit for model names, as in runs and on the bus. It also limits memory, since the gateway stores state by model
   * name.
   */
  modelCharactersMax: 255,
  /** Maximum number of concurrent requests. */
  requestsMax: 1_000,
  connectionsMax: 4_000,
  headerBytesMax: 32 * 1024,
  /** A client must send its headers within `headersMsMax`, and the whole request within `requestMsMax`. */
  headersMsMax: 15_000,
  /** Time after which the server closes the socket of a rejected connection. */
  refusedMsMax: 1_000,
  requestMsMax: 5 * 60_000,
  /** Time after which an idle connection is closed. */
  keepAliveMsMax: 75_000,
  /** Longest wait for a client that doesn't read. The time for sending the buffered output is added to this time. */
  stalledClientMsMax: 2 * 60_000,
  /** Rate for calculating the time for sending the buffered output. */
  slowClientBytesPerSecond: 32 * 1024,
  /**
   * Longest time for which a stream without output sends no HTTP status. Until the status is sent, an error can still
   * become an HTTP error. The time is limited, since clients disconnect from servers that send nothing.
   */
  statusHeldMsMax: 30_000,
  /** Time without output after which a stream sends a keep-alive. */
  silenceMsMax: 15_000,
  /** Time limit of one request. It is the same as for an agent's model call. */
  answerMsMax: 60 * 60_000,
  /** Longest time for which a stopping façade waits for answers to finish. It then ends them with an error. */
  drainMs: 20_000,
  /** Longest wait until a client has received the error that ends its answer early. */
  breakOffMs: 2_000,
  /** Maximum number of models listed per provider. */
  modelsMax: 1_000,
  /** Time for which the list of models is cached. */
  modelsMsMax: 60_000,
} as const;

export const tokenLimits = {
  charactersMax: 8 * 1024,
  /** Deadline of requests to the orchestrator. It is shorter than the deadline of the client that requests a token. */
  ownerRequestMsMax: 4_000,
  /** Maximum difference between the clocks of two machines. */
  clockToleranceMs: 10_000,
  /**
   * TTL of a published key. It is longer than the maximum lifetime of a token plus `keyRefreshMs`, so the key needn't
   * be published again for each token.
   */
  keyTtlMs: 30 * 3_600_000,
  keyRefreshMs: 3_600_000,
  /** A key from the bucket is cached for `keyKnownMsMax`. The absence of a key is cached for `keyMissingMsMax`. */
  keyKnownMsMax: 5 * 60_000,
  keyMissingMsMax: 5_000,
  keysMax: 1_000,
  /** A verified token is cached for `verifiedMsMax`. At most `verifiedMax` tokens are cached. */
  verifiedMsMax: 60_000,
  verifiedMax: 10_000,
} as const;

/** All limits of the HTTP façade. */
export const facadeLimits = {
  /** Longest single wait until a model may be tried. A request whose candidates all need longer is rejected at once, so that the client can decide how long it waits. */
  candidateWaitMsMax: 10_000,
  /** Time that a model may wait for budget that calls in flight have reserved, counted from its first refusal. */
  budgetWaitMsMax: 10_000,
  /** Bytes of one request, which contains images by value. Reading, translating and sending it takes about eight times as much memory. */
  bodyBytesMax: 20 * 1024 * 1024,
  /** Share of the heap limit for the bodies in memory of all requests. At least one body of `bodyBytesMax` fits. */
  bodiesOfHeapMax: 1 / 8,
  /** JSON values in one body. A long conversation with many tools has about ten thousand. */
  bodyValuesMax: 100_000,
  bodyDepthMax: 128,
  /** Items of answers that clients reference by id, see kept-items.ts. */
  items: {
    /** Bytes of the items of one answer, which must fit in a value of the bucket. */
    answerBytesMax: 256 * 1024,
    /** Keys of one answer whose items are stored one by one. */
    keysMax: 128,
    /** Keys that are read for one request. */
    answersMax: 1_000,
    /** Concurrent reads of one request. */
    readsAtOnce: 16,
    /** Bytes that the reads of all requests may have reserved. */
    readingBytesMax: 16 * 1024 * 1024,
    /** Timeout of one operation of the bucket, and of all reads of one request (`readMsMax`). */
    waitMsMax: 500,
    readMsMax: 5_000,
  },
  /** Same as in runs and on the bus. Model names are keys of what the gateway remembers about models. */
  modelCharactersMax: 255,
  /** Requests in progress; more are rejected with `unavailable`. */
  requestsMax: 1_000,
  connectionsMax: 4_000,
  headerBytesMax: 32 * 1024,
  /** How long a client may take to send its headers, and the whole request (`requestMsMax`). */
  headersMsMax: 15_000,
  /** How long a connection without a valid request may take to read the rejection. */
  refusedMsMax: 1_000,
  requestMsMax: 5 * 60_000,
  /** How long a connection may wait for its next request. */
  keepAliveMsMax: 75_000,
  /** How long an answer waits for a client that doesn't read, … */
  stalledClientMsMax: 2 * 60_000,
  /** … plus the time that the buffered output takes at this rate. */
  slowClientBytesPerSecond: 32 * 1024,
  /** How long a stream's status is held back, so that an error before any output can set it. Not longer, since clients give up on silent servers. */
  statusHeldMsMax: 30_000,
  /** Time without output of a stream after which a keep-alive is sent. */
  silenceMsMax: 15_000,
  /** Time limit of one request, the same as of an agent's model call. */
  answerMsMax: 60 * 60_000,
  /** How long a stopping façade lets answers continue before it breaks them off, … */
  drainMs: 20_000,
  /** … and how long it then waits until the clients have received the error. */
  breakOffMs: 2_000,
  /** Models listed per provider. */
  modelsMax: 1_000,
  /** How long the list of models is cached. */
  modelsMsMax: 60_000,
} as const;

export const tokenLimits = {
  charactersMax: 8 * 1024,
  /** Deadline of requests to the orchestrator; the client that wants the token waits a little longer. */
  ownerRequestMsMax: 4_000,
  /** Largest difference between the clocks of two machines. */
  clockToleranceMs: 10_000,
  /** TTL of a published key: it outlives every token signed since the key was last published. */
  keyTtlMs: 30 * 3_600_000,
  keyRefreshMs: 3_600_000,
  /** How long a key of the bucket is cached, and how long its absence is (`keyMissingMsMax`). */
  keyKnownMsMax: 5 * 60_000,
  keyMissingMsMax: 5_000,
  keysMax: 1_000,
  /** How long a verified token isn't verified again, and the number of tokens cached (`verifiedMax`). */
  verifiedMsMax: 60_000,
  verifiedMax: 10_000,
} as const;

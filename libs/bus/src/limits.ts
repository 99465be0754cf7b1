export const busLimits = {
  publishTimeoutMs: 10_000,
  /** Minimum time limit of one attempt to connect. The limit is `lostAfterMs / 2` if that is longer. */
  connectTimeoutMsMin: 5_000,
  /** Number of deliveries after which a command becomes a dead letter. */
  commandDeliveriesMax: 10,
  /**
   * Time after which a process that doesn't refresh its key counts as lost. Another process then takes its work over. A
   * running process refreshes its key three times in this time.
   */
  lostAfterMs: 15_000,
  /**
   * Maximum pause before a command that can't run now is redelivered, for instance because a running process holds its
   * claim.
   */
  commandOwnerAliveRetryMs: 5_000,
  /**
   * Time after which the server forgets an unanswered request between accounts, if the request has a single answer. It
   * is longer than the deadline of any such request.
   */
  answeredWithinMs: 15_000,
  /** Time after which a worker renews its pull request. */
  pullExpiresMs: 20_000,
  consumerAckPendingMax: 20_000,
  /**
   * Number of messages that a reader pulls at once, and the time that one pull lasts. After each pull the reader checks
   * whether a message was lost.
   */
  readBatch: 200,
  readPullMs: 5_000,
  /** Number of keys that a listing of a bucket's keys pulls at once. */
  keyBatch: 1_000,
  /** Number of an object's chunks that a reader pulls at once. A chunk has at most 128 KiB. */
  objectChunksAtOnce: 16,
  /** Idle time after which the server removes a reader's consumer. */
  readerIdleMs: 60_000,
  /**
   * Maximum number of a tenant's consumers, and of its requests for consumers in progress, in each process that creates
   * consumers.
   */
  tenantConsumersMax: 64,
  consumersWaitingMax: 64,
  /**
   * Limits on a tenant's request for a consumer: its size, the consumer's idle time, and the consumer's number of
   * waiting pulls.
   */
  consumerRequestBytesMax: 16 * 1024,
  consumerIdleMsMax: 300_000,
  pullsWaitingMax: 32,
  /**
   * Number of consumers of one stream after which tenants can't create more. The server allows 1,000, and the services
   * need the rest.
   */
  streamConsumersMax: 800,
  /**
   * Pause before the next check for removed consumers of a tenant. No pause follows a check that found more than half
   * of them removed.
   */
  consumersLookedAtMs: 5_000,
  /** Pause of a reader before it creates a new consumer after a failure. */
  readAgainMs: 250,
  /**
   * Number of failures in a row, without a message between them, after which a read that isn't live still continues.
   */
  readFailuresMax: 5,
  /** Time for commands in progress to end before a stopping process aborts them. */
  drainMs: 20_000,
  /** Time that a closing connection waits until the server has received its messages. */
  drainConnectionMs: 5_000,
  /** Time to live of a claim. It is much longer than the 7 days after which a command is no longer run. */
  claimTtlMs: 60 * 24 * 3_600_000,
  claimWritesMax: 5,
  /**
   * Time for which a process retries a request that the server doesn't answer, such as storing a result, and the pause
   * between two tries.
   */
  answerWaitMsMax: 3_600_000,
  answerPauseMs: 500,
  waitingLoggedEveryMs: 5_000,
  /** Time that a starting service waits for a consumer or an endpoint. */
  startWaitMs: 60_000,
  /**
   * Limits on results. A larger result is replaced by a failure. The limit for claimed operations is smaller, since
   * their results are also stored in the claims.
   */
  resultBytesMax: 900 * 1024,
  claimedResultBytesMax: 296 * 1024,
  /** Maximum size of a value in a bucket. It allows 256 KiB of content and some bytes for the value's other fields. */
  valueBytesMax: 300 * 1024,
  /** Part of the server's max_payload that is reserved for headers. */
  payloadReserveBytes: 16 * 1024,
  /** Maximum length of an error's message in a header, and in a reply that would otherwise be too large. */
  errorTextCharactersMax: 2_000,
  /** Maximum sizes of the parts of a dead letter: the message's data, its headers as JSON, and the reason as JSON. */
  letterDataBytesMax: 512 * 1024,
  letterHeadersBytesMax: 8 * 1024,
  letterReasonBytesMax: 16 * 1024,
  /**
   * Limits on the JSON of one request, since its values can take a hundred times its size in memory. The largest
   * possible run has about ten thousand values.
   */
  requestValuesMax: 100_000,
  requestDepthMax: 128,
} as const;

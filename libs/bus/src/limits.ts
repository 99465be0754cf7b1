/** Every limit and interval of this library. */
export const busLimits = {
  publishTimeoutMs: 10_000,
  /** Minimum time limit of one attempt to connect. The limit is half of `lostAfterMs` if that is longer. */
  connectTimeoutMsMin: 5_000,
  /** Deliveries after which a command becomes a dead letter. */
  commandDeliveriesMax: 10,
  /**
   * Time after which a process that doesn't refresh its key counts as lost, so that another process takes its work over. A running process refreshes its key
   * three times in this time.
   */
  lostAfterMs: 15_000,
  /** Time after which a command is redelivered if a running process holds its claim. */
  commandOwnerAliveRetryMs: 5_000,
  /**
   * Time after which the server forgets an unanswered request between accounts that has a single answer. It is longer than the deadline of any such request.
   */
  answeredWithinMs: 15_000,
  /** How long a pull request stays at the server before it is renewed. */
  pullExpiresMs: 20_000,
  consumerAckPendingMax: 20_000,
  /** Number of messages that a reader pulls at once, and the time it waits for them before it checks whether a message was lost. */
  readBatch: 200,
  readPullMs: 5_000,
  /** Number of keys that a listing of a bucket pulls at once. */
  keyBatch: 1_000,
  /** Maximum number of chunks of one object in flight at once. A chunk has 128 KiB. */
  objectChunksAtOnce: 16,
  /** Idle time after which the server removes a reader's consumer. */
  readerIdleMs: 60_000,
  /** Maximum number of one tenant's consumers, and of its waiting requests for consumers, in one process that creates them. */
  tenantConsumersMax: 64,
  consumersWaitingMax: 64,
  /** Limits of one request for a consumer: its size, the consumer's idle time, and its waiting pulls. */
  consumerRequestBytesMax: 16 * 1024,
  consumerIdleMsMax: 300_000,
  pullsWaitingMax: 32,
  /** Number of consumers on one stream at which tenants get no more. The server allows 1,000, and the services need the rest. */
  streamConsumersMax: 800,
  /** Pause before the next check for a tenant's removed consumers, if the last check found few. */
  consumersLookedAtMs: 5_000,
  /** Pause of a reader before it continues with a new consumer. */
  readAgainMs: 250,
  /** Number of consumers in a row that may fail before they deliver a message. If one more fails, a read that isn't live fails. */
  readFailuresMax: 5,
  /** How long a stopping worker lets commands continue before it aborts them. */
  drainMs: 20_000,
  /** How long a closing connection waits for its sent messages to reach the server. */
  drainConnectionMs: 5_000,
  /** Lifetime of a claim. It is far longer than the life of any message that could cause a command to be delivered again (7 days). */
  claimTtlMs: 60 * 24 * 3_600_000,
  claimWritesMax: 5,
  /** How long a process keeps a result that the server can't store, and the pause between its attempts to send the result. */
  answerWaitMsMax: 3_600_000,
  answerPauseMs: 500,
  waitingLoggedEveryMs: 5_000,
  /** How long a starting service waits for a consumer or an endpoint that it needs. */
  startWaitMs: 60_000,
  /** Limits on results. A larger result becomes a failure. A claimed operation's result is also stored in its claim, hence its smaller limit. */
  resultBytesMax: 900 * 1024,
  claimedResultBytesMax: 296 * 1024,
  /** Maximum size of a value in a bucket: 256 KiB of content, plus some bytes for the other fields of the value. */
  valueBytesMax: 300 * 1024,
  /** The part of the server's max_payload that is reserved for headers. */
  payloadReserveBytes: 16 * 1024,
  /** Maximum length of an error's message in a header, and of the message of an error that doesn't fit into a reply. */
  errorTextCharactersMax: 2_000,
  /** Maximum sizes of the parts of a dead letter, in bytes: the message's data, its headers as JSON, and the reason as JSON. */
  letterDataBytesMax: 512 * 1024,
  letterHeadersBytesMax: 8 * 1024,
  letterReasonBytesMax: 16 * 1024,
  /** Limits on the JSON of one request, since its values can take a hundred times its size in memory. The largest run has some ten thousand values. */
  requestValuesMax: 100_000,
  requestDepthMax: 128,
} as const;

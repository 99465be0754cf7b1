/** Every limit and interval of this library. */
export const busLimits = {
  publishTimeoutMs: 10_000,
  /** Least time limit of one attempt to connect; longer where `lostAfterMs` is longer. */
  connectTimeoutMsMin: 5_000,
  /** Deliveries after which a command becomes a dead letter. */
  commandDeliveriesMax: 10,
  /** Silence after which a process counts as lost and its work goes to another. A living process refreshes its key every third of it. */
  lostAfterMs: 15_000,
  /** Time after which a command is delivered again whose claim a living owner holds. */
  commandOwnerAliveRetryMs: 5_000,
  /** Time the server remembers a request between accounts that has one answer; longer than any such request's deadline. */
  answeredWithinMs: 15_000,
  /** How long a pull request stays at the server before it is renewed. */
  pullExpiresMs: 20_000,
  consumerAckPendingMax: 20_000,
  /** Messages that a reader pulls at once, and how long it waits for them before it checks whether one was lost. */
  readBatch: 200,
  readPullMs: 5_000,
  /** Keys of a bucket that a listing pulls at once. */
  keyBatch: 1_000,
  /** Chunks of one object in flight at once; a chunk has 128 KiB. */
  objectChunksAtOnce: 16,
  /** Idle time after which the server removes a reader's consumer. */
  readerIdleMs: 60_000,
  /** Consumers of one tenant at once, per process that makes them, and requests for them that may wait. */
  tenantConsumersMax: 64,
  consumersWaitingMax: 64,
  /** Limits of one request for a consumer: its size, the consumer's idle time, and its waiting pulls. */
  consumerRequestBytesMax: 16 * 1024,
  consumerIdleMsMax: 300_000,
  pullsWaitingMax: 32,
  /** Limit of consumers on one stream, for tenants; the server allows 1,000, and the services need some. */
  streamConsumersMax: 800,
  /** Pause before the next check for a tenant's removed consumers, when the last one found few. */
  consumersLookedAtMs: 5_000,
  /** Pause of a reader before it continues with a new consumer. */
  readAgainMs: 250,
  /** Consumers of one reader that deliver nothing, before a reader that isn't live fails. */
  readFailuresMax: 5,
  /** How long a stopping worker lets commands continue before it aborts them. */
  drainMs: 20_000,
  /** How long a closing connection waits for its sent messages to reach the server. */
  drainConnectionMs: 5_000,
  /** Far longer than any message that could redeliver a command (7 days). */
  claimTtlMs: 60 * 24 * 3_600_000,
  claimWritesMax: 5,
  /** How long a process keeps a result that the server doesn't store, and the pause between attempts to send it. */
  answerWaitMsMax: 3_600_000,
  answerPauseMs: 500,
  waitingLoggedEveryMs: 5_000,
  /** How long a starting service waits for a consumer or an endpoint that it needs. */
  startWaitMs: 60_000,
  /** A result over the limit becomes a failure. A claimed operation's result is also stored in its claim, hence its smaller limit. */
  resultBytesMax: 900 * 1024,
  claimedResultBytesMax: 296 * 1024,
  /** Size of a bucket's value: 256 KiB, and room for the fields around them. */
  valueBytesMax: 300 * 1024,
  /** The part of the server's max_payload that is reserved for headers. */
  payloadReserveBytes: 16 * 1024,
  /** Length of an error's message in a header, and of an error that doesn't fit into a message. */
  errorTextCharactersMax: 2_000,
  /** Limits of a dead letter: the message's data, and its headers and the reason as JSON. */
  letterDataBytesMax: 512 * 1024,
  letterHeadersBytesMax: 8 * 1024,
  letterReasonBytesMax: 16 * 1024,
  /** Limits of one request: a few bytes of JSON can take a hundred times as many in memory. The largest run has some ten thousand values. */
  requestValuesMax: 100_000,
  requestDepthMax: 128,
} as const;

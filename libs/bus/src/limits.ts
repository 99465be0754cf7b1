/** Every limit and interval of this library. */
export const busLimits = {
  publishTimeoutMs: 10_000,
  /** How long one try to connect may take; longer where processes may be silent for longer. */
  connectTimeoutMsMin: 5_000,
  /** After this many deliveries a command is given up on. */
  commandDeliveriesMax: 10,
  /** A process that is silent for this long counts as lost, and its work goes to another; a living one speaks at a third of it. */
  lostAfterMs: 15_000,
  /** A command whose claim a living owner holds is looked at again after this long. */
  commandOwnerAliveRetryMs: 5_000,
  /** Of a request between accounts that has one answer: later than any of its deadlines. */
  answeredWithinMs: 15_000,
  /** How long a pull request waits at the server before it is renewed. */
  pullExpiresMs: 20_000,
  consumerAckPendingMax: 20_000,
  /** Messages that a reading asks for at once, and how long it waits for them before it looks whether one was lost. */
  readBatch: 200,
  readPullMs: 5_000,
  /** Keys of a bucket that a listing asks for at once. */
  keyBatch: 1_000,
  /** Of one object, on their way at once; a chunk has 128 KiB. */
  objectChunksAtOnce: 16,
  /** A reader's consumer that is not used for so long is removed by the server. */
  readerIdleMs: 60_000,
  /** Of a tenant at once, made by one process, and requests for them that wait. */
  tenantConsumersMax: 64,
  consumersWaitingMax: 64,
  /** Of a request for one, how long it may be unused, and how many pulls from it may wait. */
  consumerRequestBytesMax: 16 * 1024,
  consumerIdleMsMax: 300_000,
  pullsWaitingMax: 32,
  /** Of all on one stream; the server takes 1,000, and the services need some. */
  streamConsumersMax: 800,
  /** How long it isn't looked again which of a tenant's are gone, where most weren't. */
  consumersLookedAtMs: 5_000,
  /** How long a reading waits before another consumer goes on. */
  readAgainMs: 250,
  /** Consumers of one reading that bring nothing, before a reading that isn't live gives up. */
  readFailuresMax: 5,
  /** How long a stopping worker lets commands go on before it aborts them. */
  drainMs: 20_000,
  /** How long a closing connection waits for what it has sent to reach the server. */
  drainConnectionMs: 5_000,
  /** Claims outlive every message that could bring their command back (7 days) by far. */
  claimTtlMs: 60 * 24 * 3_600_000,
  claimWritesMax: 5,
  /** How long a process holds on to a result that the server doesn't take, and how often it tries. */
  answerWaitMsMax: 3_600_000,
  answerPauseMs: 500,
  waitingToldEveryMs: 5_000,
  /** How long a consumer or an endpoint that a starting service needs is waited for. */
  startWaitMs: 60_000,
  /** A result that would not fit a message is a failure that says so; that of a claimed operation stands in its claim, too. */
  resultBytesMax: 900 * 1024,
  claimedResultBytesMax: 296 * 1024,
  /** Of a bucket: room for 256 KiB with what stands around them. */
  valueBytesMax: 300 * 1024,
  /** A message leaves this much of the server's max_payload to headers. */
  payloadReserveBytes: 16 * 1024,
  /** Of an error's message in a header, and of that of one that is too large for a message. */
  errorTextCharactersMax: 2_000,
  /** What a dead letter holds of its message's data; and of its headers and of the reason, as they stand in it. */
  letterDataBytesMax: 512 * 1024,
  letterHeadersBytesMax: 8 * 1024,
  letterReasonBytesMax: 16 * 1024,
  /** Of one request: a few bytes of JSON become a hundred times as many in memory. The largest run has some ten thousand values. */
  requestValuesMax: 100_000,
  requestDepthMax: 128,
} as const;

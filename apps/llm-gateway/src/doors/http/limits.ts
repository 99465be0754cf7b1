/** Every limit of the HTTP façade. */
export const facadeLimits = {
  /** Whose models all ask to wait for longer is told so at once: clients wait by themselves, and better know how long. */
  patienceMs: 10_000,
  /** Of one request: images come by value. It takes some eight times as much while it is read, translated and sent. */
  bodyBytesMax: 20 * 1024 * 1024,
  /** Of all requests whose bodies are in memory: this part of what the process may have, but one of the largest always fits. */
  bodiesOfHeapMax: 1 / 8,
  /** Of one body: a long conversation with many tools has some ten thousand. */
  bodyValuesMax: 100_000,
  bodyDepthMax: 128,
  /** Items of answers that clients name by their ids: see kept-items.ts. */
  items: {
    /** Of an answer: it must fit a value of the bucket. */
    answerBytesMax: 256 * 1024,
    /** Of one answer whose items are kept one by one. */
    keysMax: 128,
    /** That one request names items of. */
    answersMax: 1_000,
    /** Of one request. */
    readsAtOnce: 16,
    /** Of all. */
    readingBytesMax: 16 * 1024 * 1024,
    /** For the bucket, each time; and for all that one request names. */
    waitMsMax: 500,
    readMsMax: 5_000,
  },
  /** As in runs and on the bus: what is learnt of models is remembered by their names. */
  modelCharactersMax: 255,
  /** In progress at once; more are told to come again. */
  requestsMax: 1_000,
  connectionsMax: 4_000,
  headerBytesMax: 32 * 1024,
  /** How long a client may take for its headers, and for the whole request. */
  headersMsMax: 15_000,
  /** How long a connection without a proper request may take to read that it is refused. */
  refusedMsMax: 1_000,
  requestMsMax: 5 * 60_000,
  /** How long a connection may wait for its next request. */
  keepAliveMsMax: 75_000,
  /** How long an answer waits for a client that doesn't read. */
  stalledClientMsMax: 2 * 60_000,
  /** Beyond that, of what waits for it. */
  slowClientBytesPerSecond: 32 * 1024,
  /** How long a stream's status is held back, so that an error before any output can be told by it. Clients give up on servers that say nothing. */
  statusHeldMsMax: 30_000,
  /** Of a stream, after which its client is sent something to wait for. */
  silenceMsMax: 15_000,
  /** Of one question, as of a turn. */
  answerMsMax: 60 * 60_000,
  /** How long a stopping façade lets answers go on before it breaks them off, … */
  drainMs: 20_000,
  /** … and how long it then waits for its clients to be told. */
  breakOffMs: 2_000,
  /** Of a provider that are listed. */
  modelsMax: 1_000,
  /** How long the list of models is remembered. */
  modelsMsMax: 60_000,
} as const;

export const tokenLimits = {
  charactersMax: 8 * 1024,
  /** How long the orchestrator is waited for; whoever wants the token waits a little longer. */
  ownerAskedMsMax: 4_000,
  /** How far clocks of machines may differ. */
  clockToleranceMs: 10_000,
  /** A published key outlives every token that it may have signed since it was published last. */
  keyTtlMs: 30 * 3_600_000,
  keyRefreshMs: 3_600_000,
  /** How long another process's key is believed without looking again, and how long that there is none. */
  keyKnownMsMax: 5 * 60_000,
  keyMissingMsMax: 5_000,
  keysMax: 1_000,
  /** How long a token that was checked isn't checked again, and how many of them are remembered. */
  verifiedMsMax: 60_000,
  verifiedMax: 10_000,
} as const;

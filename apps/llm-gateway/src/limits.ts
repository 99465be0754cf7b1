/** Every limit of the gateway. */
export const gatewayLimits = {
  /** What is told of models that can't be asked fits one message. */
  modelProblemsMax: 50,
  problemCharactersMax: 1_000,
  /** Turns in progress at once, in one process. */
  concurrency: 64,
  /** How often a provider is asked for one turn before its error is the turn's. */
  attemptsMax: 4,
  /** The pause before the second attempt; it doubles each time. */
  pauseMsMin: 500,
  pauseMsMax: 30_000,
  /** A provider that asks to wait longer than this isn't waited for: the actor decides. */
  retryAfterMsMax: 5 * 60_000,

  /** Of the texts of one request, the conversation that it continues included. */
  promptBytesMax: 64 * 1024 * 1024,
  /** Of the messages of one turn as JSON, what they hold by reference not counted: they came in one message of the bus. */
  requestBytesMax: 8 * 1024 * 1024,
  /** Artifacts that come at once; each of them at most some MiB at a time, see the bus's limits. */
  artifactReadsAtOnce: 2,
  /** More than all that a process has in progress, each of which reads one after the other: their own limits tell who is to come again. */
  artifactReadsWaitingMax: 2_000,
  /** Of one conversation. */
  conversationTurnsMax: 2_000,
  /** Conversations in memory, so that a turn needn't read all turns before it; the least recently used go first. */
  cachedConversationsMax: 1_000,
  cachedBytesMax: 128 * 1024 * 1024,
  /** How often a turn that is continued is looked for in the transcript, and the pause in between. */
  linkReadsMax: 3,
  linkReadPauseMs: 200,

  /** Of one answer: its texts, the arguments of its tool calls, its signatures, and its ids. */
  textBytesMax: 16 * 1024 * 1024,
  /** In one answer. */
  toolCallsMax: 128,
  /** In one answer: its texts and thoughts, and what they consist of where that is told apart. */
  answerPartsMax: 10_000,
  /** Of the names in an answer, each. */
  answerNameCharactersMax: 512,
  /** Of the ids in an answer, each: some servers put into them what they want to be given back, such as a model's signature. */
  answerIdCharactersMax: 16 * 1024,
  /** Of an answer, and of a request, that travel by value, as JSON: command, result and transcript entry must fit a message. */
  inlineBytesMax: 256 * 1024,

  scriptBytesMax: 4 * 1024 * 1024,

  /** Looking whether a provider can be used. */
  describeMsMax: 3_000,
  describedModelsMax: 5,
} as const;

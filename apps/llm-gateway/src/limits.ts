/**
 * Limits of prompts, conversations and answers, of the number of model calls, and of checks of models. Other limits are in `limits.ts` of cache/, ingress/bus/,
 * ingress/http/, routing/ and transport/, or in the file that checks them.
 */
export const gatewayLimits = {
  /** Problems reported for models that can't be used: all of them fit one message. */
  modelProblemsMax: 50,
  problemCharactersMax: 1_000,
  /** Concurrent model calls in one process. */
  concurrency: 64,

  /** Texts of one request, including the conversation that it continues. */
  promptBytesMax: 64 * 1024 * 1024,
  /** Messages of one request as JSON, without referenced content: they came in one bus message. */
  requestBytesMax: 8 * 1024 * 1024,
  /** Artifacts read at once; each has at most some MiB in transit, see the bus's limits. */
  artifactReadsAtOnce: 2,
  /** More than all concurrent calls of a process, each of which reads one artifact at a time: their own limits reject a call before this one does. */
  artifactReadsWaitingMax: 2_000,
  /** Model calls in one conversation. */
  conversationTurnsMax: 2_000,
  /** Conversations kept in memory, so that a model call needn't read all earlier ones; the least recently used are dropped first. */
  cachedConversationsMax: 1_000,
  cachedBytesMax: 128 * 1024 * 1024,
  /** Attempts to find a continued model call in the transcript, and the pause between them. */
  linkReadsMax: 3,
  linkReadPauseMs: 200,

  /** One answer: its texts, tool call arguments, signatures and ids. */
  textBytesMax: 16 * 1024 * 1024,
  /** Tool calls in one answer. */
  toolCallsMax: 128,
  /** Parts of one answer: texts, thinking, and pieces of either that the wire format numbers separately. */
  answerPartsMax: 10_000,
  /** Each name in an answer. */
  answerNameCharactersMax: 512,
  /** Each id in an answer: some servers put data into ids that they want sent back, such as a model's signature. */
  answerIdCharactersMax: 16 * 1024,
  /** Inline content of an answer, and of a request, as JSON: command, result and transcript entry must each fit a message. */
  inlineBytesMax: 256 * 1024,

  scriptBytesMax: 4 * 1024 * 1024,

  /** Time to check whether a provider is usable. */
  describeMsMax: 3_000,
  describedModelsMax: 5,
} as const;

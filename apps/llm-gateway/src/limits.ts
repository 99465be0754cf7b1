/**
 * Limits of prompts, conversations and answers, of the number of model calls, and of checks of models. Other limits are in `limits.ts` of cache/, ingress/bus/,
 * ingress/http/, routing/ and transport/, or in the file that checks them.
 */
export const gatewayLimits = {
  /** Problems reported for models that can't be used. All of them fit in one message. */
  modelProblemsMax: 50,
  problemCharactersMax: 1_000,
  /** Concurrent model calls in one process. */
  concurrency: 64,

  /** Bytes of the texts of one request, including the conversation that it continues. */
  promptBytesMax: 64 * 1024 * 1024,
  /** Bytes of one request's messages as JSON, without referenced content. */
  requestBytesMax: 8 * 1024 * 1024,
  /** Artifacts that are read at the same time. Each has at most a few MiB in transit (limits of libs/bus). */
  artifactReadsAtOnce: 2,
  /**
   * Higher than the number of concurrent calls in a process. Each call reads one artifact at a time, so the limits on calls reject a call before this limit is
   * reached.
   */
  artifactReadsWaitingMax: 2_000,
  /** Model calls in one conversation. */
  conversationTurnsMax: 2_000,
  /** Conversations kept in memory, so that a model call needn't read its conversation again. The least recently used is dropped first. */
  cachedConversationsMax: 1_000,
  cachedBytesMax: 128 * 1024 * 1024,
  /** Number of attempts to find a continued model call in the transcript (`linkReadsMax`), and the pause between them. */
  linkReadsMax: 3,
  linkReadPauseMs: 200,

  /** Bytes of one answer: its texts, tool call arguments, signatures and ids. */
  textBytesMax: 16 * 1024 * 1024,
  /** Tool calls in one answer. */
  toolCallsMax: 128,
  /** Parts of one answer: texts, thinking, and pieces of these that the wire format numbers separately. */
  answerPartsMax: 10_000,
  /** Characters of one name in an answer. */
  answerNameCharactersMax: 512,
  /** Characters of one id in an answer. Ids may be long, since some servers put data into them that must be sent back, such as a model's signature. */
  answerIdCharactersMax: 16 * 1024,
  /** Bytes of the inline content of an answer, and of a request, as JSON. The command, the result and the transcript entry must each fit in a message. */
  inlineBytesMax: 256 * 1024,

  scriptBytesMax: 4 * 1024 * 1024,

  /** Time to check whether a provider is usable. */
  describeMsMax: 3_000,
  describedModelsMax: 5,
} as const;

/**
 * Limits of prompts, conversations and answers, of the number of model calls, and of checks of models. Other limits are
 * in the `limits.ts` of a subfolder, or in the file that checks them.
 */
export const gatewayLimits = {
  /** Number of problems that a check of models reports. All of them fit in one message. */
  modelProblemsMax: 50,
  problemCharactersMax: 1_000,
  /** Concurrent model calls in one process. */
  concurrency: 64,

  /** Bytes of all texts of one request, with the conversation that it continues. */
  promptBytesMax: 64 * 1024 * 1024,
  /** Bytes of one request's messages as JSON, without the content that they reference. */
  requestBytesMax: 8 * 1024 * 1024,
  /** Number of artifacts that are read at the same time. Each has at most a few MiB in transit (limits of libs/bus). */
  artifactReadsAtOnce: 2,
  /**
   * Higher than the number of concurrent calls in a process. Each call reads one artifact at a time, so the limits on
   * calls reject a call before this limit is reached.
   */
  artifactReadsWaitingMax: 2_000,
  /** Maximum number of model calls in one conversation. */
  conversationTurnsMax: 2_000,
  /**
   * Number of conversations kept in memory, so that a model call needn't read its conversation again. The least
   * recently used one is dropped first.
   */
  cachedConversationsMax: 1_000,
  cachedBytesMax: 128 * 1024 * 1024,
  /**
   * A request may continue an earlier model call. This is the number of attempts to find that call in the transcript.
   * `linkReadPauseMs` is the pause between two attempts.
   */
  linkReadsMax: 3,
  linkReadPauseMs: 200,

  /** Bytes of one answer: its texts, tool call arguments, signatures and ids. */
  textBytesMax: 16 * 1024 * 1024,
  toolCallsMax: 128,
  /**
   * Number of texts and thinking parts in one answer. If the wire format numbers pieces of these separately, each piece
   * counts.
   */
  answerPartsMax: 10_000,
  answerNameCharactersMax: 512,
  /**
   * Length limit of one id in an answer, in characters. Ids may be long, since some servers put data into them, such as
   * a model's signature.
   */
  answerIdCharactersMax: 16 * 1024,
  /**
   * Bytes of the inline content of an answer, and of a request, as JSON. The command, the result and the transcript
   * entry must each fit in a message.
   */
  inlineBytesMax: 256 * 1024,

  scriptBytesMax: 4 * 1024 * 1024,

  /** Time limit for the check whether a provider is usable. */
  describeMsMax: 3_000,
  describedModelsMax: 5,
} as const;

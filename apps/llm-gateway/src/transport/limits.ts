/**
 * Limits of requests to providers over HTTP. The HTTP library's own timeouts are off, since its 300 s would end calls
 * to models that think longer.
 */
export const httpLimits = {
  connectMsMax: 10_000,
  /**
   * Time from the request to the first event. The limit is high, since a local server may load its model first, and a
   * large model thinks first. Keep-alive comments don't count as events.
   */
  firstEventMsMax: 15 * 60_000,
  /** Time between two events. */
  idleMsMax: 5 * 60_000,
  /** Time from the request to the end of the answer. */
  totalMsMax: 60 * 60_000,
  /**
   * Longest wait for the end of the stream after the finish reason or the last event. During the wait, the usage can
   * arrive, and the connection can become reusable.
   */
  afterFinishMsMax: 5_000,
  /** Length limit of one event or one line, in characters. An event may contain a whole tool call. */
  eventCharactersMax: 16 * 1024 * 1024,
  /** Maximum memory for all partly received answers together, as a share of the heap limit. */
  halfReadOfHeapMax: 1 / 8,
  /** The first bytes of each answer that don't count towards `halfReadOfHeapMax`. */
  halfReadFreeBytes: 64 * 1024,
  /**
   * Bytes of one answer as received. The limit is high, since the wire format adds some hundred bytes to each token.
   */
  answerBytesMax: 1024 * 1024 * 1024,
  /** Bytes of an error response that are read. */
  errorBytesMax: 64 * 1024,
  /** Number of characters of an error's text that are searched for keys. The rest is dropped. */
  errorTextCharactersRead: 64 * 1024,
  /**
   * Length of the longest key. If an error's text was cut, this number of characters is dropped from its end, since
   * they may contain a part of a key.
   */
  keyCharactersMax: 16 * 1024,
  /** Characters of an error's text that are passed on. */
  errorTextCharactersMax: 500,
  /** Bytes of an unstreamed answer, and of the list of models. */
  wholeBodyBytesMax: 32 * 1024 * 1024,
} as const;

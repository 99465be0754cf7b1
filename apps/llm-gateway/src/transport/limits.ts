/** All limits of requests to providers over HTTP. The library's own time-outs are off, since its 300 s would end calls to models that think for longer. */
export const httpLimits = {
  connectMsMax: 10_000,
  /**
   * Time from the request to the first event. It is long, since a local server may first load its model, and a large model first thinks. Keep-alive comments
   * don't count as events.
   */
  firstEventMsMax: 15 * 60_000,
  /** Time between two events. */
  idleMsMax: 5 * 60_000,
  /** Time from the request to the end of the answer. */
  totalMsMax: 60 * 60_000,
  /**
   * Longest wait for the end of the stream after the finish reason or the last event. In this time the usage can arrive, and the connection can become
   * reusable.
   */
  afterFinishMsMax: 5_000,
  /** Characters of one event or one line. An event may contain a whole tool call. */
  eventCharactersMax: 16 * 1024 * 1024,
  /** Memory for all partly received answers together, streamed or not: this share of the heap limit, … */
  halfReadOfHeapMax: 1 / 8,
  /** … where this number of bytes of each answer doesn't count. */
  halfReadFreeBytes: 64 * 1024,
  /** Bytes of one answer as received. Each token is wrapped in some hundred bytes. */
  answerBytesMax: 1024 * 1024 * 1024,
  /** Bytes of an error response that are read. */
  errorBytesMax: 64 * 1024,
  /** Characters of an error's text that are searched for keys, … */
  errorTextCharactersRead: 64 * 1024,
  /** … and the length of the longest key. If the text was cut, this number of characters is dropped from its end, which may contain a part of a key. */
  keyCharactersMax: 16 * 1024,
  /** Characters of an error's text that are passed on. */
  errorTextCharactersMax: 500,
  /** Bytes of an unstreamed answer, and of the list of models. */
  wholeBodyBytesMax: 32 * 1024 * 1024,
} as const;

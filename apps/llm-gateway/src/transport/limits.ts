/** Every limit of requests to providers over HTTP. The library's own time-outs are off: its 300 s would end calls to models that think for long. */
export const httpLimits = {
  connectMsMax: 10_000,
  /** From the request to the first event: a local server may first load its model, and a large model thinks first. Keep-alive comments don't count. */
  firstEventMsMax: 15 * 60_000,
  /** Between two events. */
  idleMsMax: 5 * 60_000,
  /** From the request to the end of the answer. */
  totalMsMax: 60 * 60_000,
  /** After the finish reason or the end of the stream: time for the usage to arrive, and for the connection to become reusable. */
  afterFinishMsMax: 5_000,
  /** Characters of one event or one line. An event may hold a whole tool call. */
  eventCharactersMax: 16 * 1024 * 1024,
  /** Memory for all partly received answers, streamed or not: this share of the heap limit, … */
  halfReadOfHeapMax: 1 / 8,
  /** … not counting this many bytes of each. */
  halfReadFreeBytes: 64 * 1024,
  /** Bytes of one answer as received: each token is wrapped in some hundred bytes. */
  answerBytesMax: 1024 * 1024 * 1024,
  /** Bytes read of an error response. */
  errorBytesMax: 64 * 1024,
  /** Characters of an error's text that are searched for keys, … */
  errorTextCharactersRead: 64 * 1024,
  /** … and the longest key. If the text was cut, this much is dropped from its end, which may hold a part of a key. */
  keyCharactersMax: 16 * 1024,
  /** Characters of an error's text that are passed on. */
  errorTextCharactersMax: 500,
  /** Bytes of an unstreamed answer, and of the list of models. */
  wholeBodyBytesMax: 32 * 1024 * 1024,
} as const;

/** Every limit of asking a provider over HTTP. The library's own time-outs are off: its 300 s end calls to models that think for long. */
export const httpLimits = {
  connectMsMax: 10_000,
  /** From the request to the first event: a local server may load its model, a large one thinks first. Comments that keep a connection alive don't count. */
  firstEventMsMax: 15 * 60_000,
  /** From one event to the next. */
  idleMsMax: 5 * 60_000,
  /** Of the whole answer. */
  totalMsMax: 60 * 60_000,
  /** After the finish reason came, or the end of the stream was told: for the usage, and for the connection to be of use again. */
  afterFinishMsMax: 5_000,
  /** Of one event, and of one line. An event may hold a whole tool call. */
  eventCharactersMax: 16 * 1024 * 1024,
  /** Of what is read by half of all answers, events and whole ones: this part of what the process may have, … */
  halfReadOfHeapMax: 1 / 8,
  /** … beside so much of each. */
  halfReadFreeBytes: 64 * 1024,
  /** Of one answer as it came: each token is wrapped in some hundred bytes. */
  answerBytesMax: 1024 * 1024 * 1024,
  /** What is read of the answer to a refused request. */
  errorBytesMax: 64 * 1024,
  /** Of an error's text that is looked through for keys, … */
  errorTextCharactersRead: 64 * 1024,
  /** … and how long one may be: where that text ends, one may have been cut in two. */
  keyCharactersMax: 16 * 1024,
  /** Of an error's text that is passed on. */
  errorTextCharactersMax: 500,
  /** An answer that came as a whole, and the list of models. */
  wholeBodyBytesMax: 32 * 1024 * 1024,
} as const;

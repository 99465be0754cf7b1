/** Every limit of one question to one or more providers. */
export const exchangeLimits = {
  /** What is held back of an answer before its first semantic output, so that another provider can still be asked: events, … */
  peekEventsMax: 256,
  /** … and their size. The first event of some providers repeats the whole request. What is larger is handed on, and then nobody else is asked. */
  peekBytesMax: 2 * 1024 * 1024,
} as const;

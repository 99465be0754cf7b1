/** Every limit of one question to one or more providers. */
export const exchangeLimits = {
  /** What is held back of an answer before its first semantic output, so that another provider can still be asked: events, … */
  peekEventsMax: 256,
  /** … and their size. The first event of some providers repeats the whole request. What is larger is handed on, and then nobody else is asked. */
  peekBytesMax: 2 * 1024 * 1024,

  /** Candidates of one alias. */
  candidatesMax: 16,
  /** So many calls that fail in a row, and the model isn't asked … */
  failuresMax: 3,
  /** … for so long; then one call tries. */
  openMs: 60_000,
  /** How long the other instances leave a try to the one that told of it. */
  probeHoldMs: 15_000,
  /** A provider that asks to wait longer is asked again after this. */
  coolDownMsMax: 60 * 60_000,
  /** A wait that is shorter is over before the others could make use of it. */
  toldCoolDownMsMin: 500,
  /** Models whose state is kept in memory; the least recently asked is forgotten first. */
  circuitsMax: 1_000,
  /** Of what each keeps of its last failure. */
  lastFailureCharactersMax: 500,
  /** Waits for a time that many calls wait for end up to this much later, each at another time: in parts of the wait, … */
  jitterPart: 0.1,
  /** … and at most. */
  jitterMsMax: 2_000,

  /** Calls at one provider at once, in one process, where its configuration doesn't tell. */
  concurrency: 256,
  /** Calls that wait for one provider. */
  waitingMax: 4_096,
} as const;

/** Limits that are part of what is stored: the same for every host. */
export const actorLimits = {
  /** Of one actor's stored value. */
  valueBytesMax: 256 * 1024,
  /** Kept free in every value, so that a full actor can still be parked with a note beside its unchanged bytes. */
  parkingReserveBytes: 8 * 1024,
  /** Kind and id together: they are part of effect ids, which are tokens of subjects and keys. */
  addressLengthMax: 180,
  /** Events kept for a state that will handle them; more are refused. */
  deferredMax: 64,
  /** Ids of events from outside that are recognised when they come again. A repeat after so many others is applied again. */
  recentMessagesMax: 128,
  /** Ended effects that are kept for the next event to tell; an actor that emits nothing for so long tells the first of them. */
  stepsMax: 32,
  /** Steps of a machine within one transition: a cycle of raised or eventless ones ends there, and fails the message. */
  microstepsMax: 1_000,
  /** The longest delay of a timer. */
  timerDelayMsMax: 30 * 24 * 3_600_000,
  /** A finished actor's tombstone stays this long: 30 days past the longest timer. */
  tombstoneTtlMs: 60 * 24 * 3_600_000,
  /** A create that is older is not acted on. */
  createAgeMsMax: 7 * 24 * 3_600_000,
} as const;

/** Limits and intervals of a host; one may be started with others, tests do. */
export const hostLimits = {
  /** A lost compare-and-set starts the handling again this often, then the message is given back. */
  compareAndSetAttemptsMax: 10,
  /** After this many deliveries a message is given up on and dead-lettered. */
  deliveriesMax: 20,
  /** Pause before a message that its machine failed on comes again: doubles from the first to the last. All its deliveries take two minutes. */
  retryDelayMsMin: 100,
  retryDelayMsMax: 10_000,
  /** The same where something else failed, the bus for instance: an outage of a quarter of an hour costs no message. */
  outageDelayMsMin: 500,
  outageDelayMsMax: 60_000,
  /** A message that isn't acknowledged within this time comes again. Handling is short: nothing long runs here. */
  ackWaitMs: 30_000,
  /** An event for an actor that isn't there yet is tried again this often, and for this long. The pause doubles from the first. */
  absentTriesMax: 10,
  absentDelayMsMin: 1_000,
  absentAgeMsMax: 3_600_000,
  /** Pause between two walks of the sweeper over all actors. */
  sweepIntervalMs: 30_000,
  /** Actors that the sweeper reads in a second. */
  sweepReadsPerSecond: 200,
  /** The sweeper leaves a timer this long to arrive by itself. */
  sweepGraceMs: 5_000,
  /** Finished actors that the sweeper doesn't read again; it forgets them all when there are more, and after this long. */
  rememberedTombstonesMax: 100_000,
  rememberedTombstonesMs: 24 * 3_600_000,
  /** How long a sweeper owns the walk without renewing. */
  sweepLeaseMs: 30_000,
  /** Actors whose last dispatch a host remembers, so that it doesn't look whether it was done. */
  rememberedDispatchesMax: 20_000,
};

export type HostLimits = typeof hostLimits;

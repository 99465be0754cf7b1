/** Limits of the stored data, the same for every host. */
export const actorLimits = {
  /** Size of one actor's stored value, in bytes. */
  valueBytesMax: 256 * 1024,
  /** Bytes kept free in every value, so that a full actor can still be parked with a note beside its unchanged bytes. */
  parkingReserveBytes: 8 * 1024,
  /** Characters of kind and id together: they are part of effect ids, which are tokens of subjects and keys. */
  addressLengthMax: 180,
  /** Deferred events of an actor. Further events are rejected. */
  deferredMax: 64,
  /** Ids of outside events that an actor remembers to drop duplicates. A duplicate that arrives after more than this many other events is applied again. */
  recentMessagesMax: 128,
  /** Ended effects that are reported with the actor's next event. If more effects end before it, only the first ones are reported. */
  stepsMax: 32,
  /** Microsteps of a machine within one transition. At this number a cycle of raised events or eventless transitions is stopped, and the message fails. */
  microstepsMax: 1_000,
  /** Maximum delay of a timer. */
  timerDelayMsMax: 30 * 24 * 3_600_000,
  /** Lifetime of a finished actor's tombstone: 30 days longer than the longest timer. */
  tombstoneTtlMs: 60 * 24 * 3_600_000,
  /** Maximum age of a `create`; an older one is not applied. */
  createAgeMsMax: 7 * 24 * 3_600_000,
} as const;

/** Limits and intervals of a host. Tests override them. */
export const hostLimits = {
  /** Attempts to handle a message when its compare-and-set fails; then the message is redelivered. */
  compareAndSetAttemptsMax: 10,
  /** Deliveries of a message before it becomes a dead letter. */
  deliveriesMax: 20,
  /** Pause before a message on which the machine failed is redelivered; doubles from min to max. All deliveries together take about two minutes. */
  retryDelayMsMin: 100,
  retryDelayMsMax: 10_000,
  /** Pause after any other failure, such as a bus outage. All deliveries together take 14 minutes, so a shorter outage loses no message. */
  outageDelayMsMin: 500,
  outageDelayMsMax: 60_000,
  /**
   * Time after which an unacknowledged message is redelivered, unless a host sets it otherwise (see `hostParts`). A handler finishes long before that, since
   * handlers do no long work.
   */
  ackWaitMs: 30_000,
  /** Tries and total time for an event to an actor that doesn't exist yet. The pause starts at the minimum and doubles. */
  absentTriesMax: 10,
  absentDelayMsMin: 1_000,
  absentAgeMsMax: 3_600_000,
  /** Pause between two walks of the sweeper over all actors. */
  sweepIntervalMs: 30_000,
  /** Actors that the sweeper reads in a second. */
  sweepReadsPerSecond: 200,
  /** Time after which the sweeper wakes an actor for an overdue timer. Until then the timer may still arrive by itself. */
  sweepGraceMs: 5_000,
  /** Finished actors that the sweeper remembers, so that it doesn't read them again. It forgets all of them when there are more, and after this time. */
  rememberedTombstonesMax: 100_000,
  rememberedTombstonesMs: 24 * 3_600_000,
  /** Lifetime of the sweeper's lease unless renewed. */
  sweepLeaseMs: 30_000,
  /** Actors for which a host remembers the last revision whose outbox it published. For these it needn't check whether the outbox was published. */
  rememberedDispatchesMax: 20_000,
};

export type HostLimits = typeof hostLimits;

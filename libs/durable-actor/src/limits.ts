/** Limits of the stored data, the same for every host. */
export const actorLimits = {
  /** Size of one actor's stored value, in bytes. */
  valueBytesMax: 256 * 1024,
  /** Bytes kept free in every value, so that a full actor can still be parked with a note beside its unchanged bytes. */
  parkingReserveBytes: 8 * 1024,
  /** Maximum length of kind and id together, in characters. They are part of effect ids, and these are tokens of subjects and keys. */
  addressLengthMax: 180,
  /** Maximum number of an actor's deferred events. An event that would be deferred in addition is rejected. */
  deferredMax: 64,
  /**
   * Number of ids of events from outside that an actor remembers, to drop duplicates. A duplicate is applied again if more than this number of other events
   * arrived before it.
   */
  recentMessagesMax: 128,
  /** Maximum number of ended effects that the actor's next event reports. If more effects end before that event, only the first ones are reported. */
  stepsMax: 32,
  /**
   * Maximum number of a machine's microsteps within one transition. At this number a cycle of raised events or eventless transitions is stopped, and the
   * handling of the message fails.
   */
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
  /** Maximum number of attempts to handle a message whose compare-and-set fails each time. After that the message is redelivered. */
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
  /** Limits for an event to an actor that doesn't exist yet: number of tries, first pause (each further pause is twice as long), and total time. */
  absentTriesMax: 10,
  absentDelayMsMin: 1_000,
  absentAgeMsMax: 3_600_000,
  /** Pause between two walks of the sweeper over all actors. */
  sweepIntervalMs: 30_000,
  /** Maximum number of actors that the sweeper reads per second. */
  sweepReadsPerSecond: 200,
  /** Time by which a timer must be overdue before the sweeper wakes its actor. Until then the timer may still arrive by itself. */
  sweepGraceMs: 5_000,
  /**
   * The sweeper remembers finished actors, so that it doesn't read them again. If there are more than `rememberedTombstonesMax`, or after
   * `rememberedTombstonesMs`, it forgets all of them.
   */
  rememberedTombstonesMax: 100_000,
  rememberedTombstonesMs: 24 * 3_600_000,
  /** Lifetime of the sweeper's lease if it isn't renewed. */
  sweepLeaseMs: 30_000,
  /**
   * Maximum number of actors for which a host remembers the last revision whose outbox it published. For these actors the host needn't check whether the outbox
   * was published.
   */
  rememberedDispatchesMax: 20_000,
};

export type HostLimits = typeof hostLimits;

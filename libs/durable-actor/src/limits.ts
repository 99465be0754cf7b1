/** Limits of stored data, which every host must share. */
export const actorLimits = {
  valueBytesMax: 256 * 1024,
  /** Bytes that every value leaves free. A parked actor needs them for the note with the reason. */
  parkingReserveBytes: 8 * 1024,
  /** Maximum length of kind and id together, in characters. Both are part of subjects, keys and effect ids. */
  addressLengthMax: 180,
  /** Maximum number of an actor's deferred events. Further events are rejected instead of deferred. */
  deferredMax: 64,
  /**
   * Number of event ids that an actor remembers to drop duplicates. A duplicate is applied again if more than this
   * number of other events arrived before it.
   */
  recentMessagesMax: 128,
  /** Maximum number of ended effects that one emitted event reports. The first ones are reported. */
  stepsMax: 32,
  /**
   * Maximum number of microsteps in a transition. It stops a cycle of raised events or eventless transitions. The
   * handling of the message then fails.
   */
  microstepsMax: 1_000,
  timerDelayMsMax: 30 * 24 * 3_600_000,
  /** Lifetime of a finished actor's tombstone. It is 30 days longer than the longest timer. */
  tombstoneTtlMs: 60 * 24 * 3_600_000,
  /** Maximum age of a `create`. An older `create` becomes a dead letter. */
  createAgeMsMax: 7 * 24 * 3_600_000,
} as const;

export const hostLimits = {
  /** Maximum number of compare-and-set attempts in one delivery of a message. Then the message is redelivered. */
  compareAndSetAttemptsMax: 10,
  /** Maximum number of deliveries of a message. Then the message becomes a dead letter. */
  deliveriesMax: 20,
  /**
   * Pause before a redelivery after the machine failed on the message. The pause doubles from min to max. Up to the
   * delivery limit, the pauses add up to about two minutes.
   */
  retryDelayMsMin: 100,
  retryDelayMsMax: 10_000,
  /**
   * Pause before a redelivery after any other failure. Up to the delivery limit, the pauses add up to 14 minutes. So a
   * shorter outage of the bus loses no message.
   */
  outageDelayMsMin: 500,
  outageDelayMsMax: 60_000,
  /**
   * Time after which an unacknowledged message is redelivered. `hostParts` replaces this value with the bus's
   * `lostAfterMs`. A handler does no long work, so it finishes much earlier.
   */
  ackWaitMs: 30_000,
  /**
   * Limits for an event to an actor that doesn't exist yet. The pause doubles. `absentAgeMsMax` counts from the first
   * try.
   */
  absentTriesMax: 10,
  absentDelayMsMin: 1_000,
  absentAgeMsMax: 3_600_000,
  sweepIntervalMs: 30_000,
  sweepReadsPerSecond: 200,
  /**
   * Time by which a timer must be overdue before the sweeper wakes its actor. The timer's message may still arrive
   * until then.
   */
  sweepGraceMs: 5_000,
  /**
   * Limits of the sweeper's memory of finished actors, which it doesn't read again. The sweeper forgets all of them if
   * there are more than `rememberedTombstonesMax`, or after `rememberedTombstonesMs`.
   */
  rememberedTombstonesMax: 100_000,
  rememberedTombstonesMs: 24 * 3_600_000,
  /** Time after which another host may take the sweeper's lease, unless its owner renews it. */
  sweepLeaseMs: 30_000,
  /**
   * Maximum number of actors for which a host remembers the last revision whose outbox it published. Without this
   * entry, the host must ask the server whether the outbox was published.
   */
  rememberedDispatchesMax: 20_000,
};

export type HostLimits = typeof hostLimits;

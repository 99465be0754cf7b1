/** A machine uses a feature that can't be made durable. Thrown when the actor is defined. */
export class UnsupportedMachine extends Error {
  override readonly name = 'UnsupportedMachine';
  readonly code = 'unsupported-machine';
  readonly retryable = false;
  constructor(kind: string, problems: readonly string[]) {
    super(`actor ${kind}: ${problems.join('; ')}`);
  }
}

/** A machine failed during a transition, or used an action that isn't mapped. Nothing was stored. */
export class TransitionFailed extends Error {
  override readonly name = 'TransitionFailed';
  readonly code = 'transition-failed';
  readonly retryable = true;
}

/** The actor can't continue with this message or machine, so it is parked. */
export class Unrestorable extends Error {
  override readonly name = 'Unrestorable';
  readonly code = 'unrestorable';
  readonly retryable = false;
  readonly parkCode: ParkCode;
  constructor(parkCode: ParkCode, message: string, cause?: unknown) {
    super(message, { cause });
    this.parkCode = parkCode;
  }
}

/** Reason why an actor is parked. */
export type ParkCode =
  /** The stored bytes aren't an actor's value. */
  | 'corrupt'
  /** A machine with another version or structure stored the value, and no migration led to this machine. */
  | 'machine-changed'
  /** XState can't restore the stored snapshot, for example because the machine lacks one of its states. */
  | 'restore-failed'
  /** A result, timer or wake-up would make the value or a message larger than its limit. */
  | 'limit-exceeded'
  /** A timer, a wake-up or a failed result couldn't be handled within the delivery limit. */
  | 'transition-failed';

/** Other hosts changed the value in each of this handler's attempts. The message is redelivered. */
export class TooMuchContention extends Error {
  override readonly name = 'TooMuchContention';
  readonly code = 'contention';
  readonly retryable = true;
}

/** The value to store or a message to publish is over a limit. Nothing was stored. */
export class TooLarge extends Error {
  override readonly name = 'TooLarge';
  readonly code = 'limit-exceeded';
  readonly retryable = false;
}

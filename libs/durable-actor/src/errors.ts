/** A machine uses something that can't be made durable. Terminal: thrown when the actor is defined, or before a state is stored. */
export class UnsupportedMachine extends Error {
  override readonly name = 'UnsupportedMachine';
  readonly code = 'unsupported-machine';
  readonly retryable = false;
  constructor(kind: string, problems: readonly string[]) {
    super(`actor ${kind}: ${problems.join('; ')}`);
  }
}

/** A machine used an action that isn't mapped, or failed while it computed a transition. Nothing was stored. */
export class TransitionFailed extends Error {
  override readonly name = 'TransitionFailed';
  readonly code = 'transition-failed';
  readonly retryable = true;
}

/** The current machine can't continue from the stored value; the actor is parked. */
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

/** Why an actor is parked. */
export type ParkCode =
  /** The stored bytes aren't an actor's value. */
  | 'corrupt'
  /** The value was stored by another version of the machine, from which there is no migration, or by a machine with another structure and the same version. */
  | 'machine-changed'
  /** The stored snapshot names states or children that the machine doesn't have. */
  | 'restore-failed'
  /** A result or timer would make the value larger than its limit. */
  | 'limit-exceeded'
  /** The machine fails on a result or timer. These can't be rejected. */
  | 'transition-failed';

/** Other hosts kept writing this actor's value. The message is redelivered. */
export class TooMuchContention extends Error {
  override readonly name = 'TooMuchContention';
  readonly code = 'contention';
  readonly retryable = true;
}

/** The value to store, or a message to publish, is over a limit. Nothing was stored. */
export class TooLarge extends Error {
  override readonly name = 'TooLarge';
  readonly code = 'limit-exceeded';
  readonly retryable = false;
}

/** A compare-and-set failed, because the key isn't at the expected revision. To retry, read the key first. */
export class RevisionConflict extends Error {
  override readonly name = 'RevisionConflict';
  readonly code = 'revision-conflict';
  readonly retryable = true;
  constructor(key: string, expected: number, cause?: unknown) {
    super(`${key} is not at revision ${expected}`, { cause });
  }
}

/** The server lacks something that Coppice needs. The message names what to install or enable. */
export class UnsuitableServer extends Error {
  override readonly name = 'UnsuitableServer';
  readonly code = 'unsuitable-server';
  readonly retryable = false;
}

/**
 * Thrown by the handler of an idempotent command if it has started nothing and can't start now. The command is
 * redelivered later, and no result is sent. Handlers of claimed commands must not throw it, since they already hold
 * their claims.
 */
export class NotNow extends Error {
  override readonly name = 'NotNow';
  readonly code = 'not-now';
  readonly retryable = true;
}

/** The work was interrupted because this process stops. No result is sent, and another process runs the command. */
export class Draining extends Error {
  override readonly name = 'Draining';
  readonly code = 'draining';
  readonly retryable = true;
  constructor() {
    super('this process is stopping');
  }
}

/**
 * Another process has taken the effect over, because it judged this process lost. The result of this process is not
 * sent.
 */
export class ClaimLost extends Error {
  override readonly name = 'ClaimLost';
  readonly code = 'claim-lost';
  readonly retryable = false;
  constructor(effectId: string) {
    super(`another process has taken ${effectId} over`);
  }
}

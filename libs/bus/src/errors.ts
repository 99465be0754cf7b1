/** A compare-and-set failed: the key is not at the expected revision. Read the key, then retry. */
export class RevisionConflict extends Error {
  override readonly name = 'RevisionConflict';
  readonly code = 'revision-conflict';
  readonly retryable = true;
  constructor(key: string, expected: number, cause?: unknown) {
    super(`${key} is not at revision ${expected}`, { cause });
  }
}

/** The server lacks something that Coppice needs. Terminal: the message names what to install or enable. */
export class UnsuitableServer extends Error {
  override readonly name = 'UnsuitableServer';
  readonly code = 'unsuitable-server';
  readonly retryable = false;
}

/**
 * Thrown by the handler of an idempotent command that has started nothing and can't start now: the command is redelivered a little later, and no result is
 * sent. Not for claimed commands, since their handlers already hold the claims.
 */
export class NotNow extends Error {
  override readonly name = 'NotNow';
  readonly code = 'not-now';
  readonly retryable = true;
}

/** The work was interrupted because this process stops. Another process takes it over; no result is sent. */
export class Draining extends Error {
  override readonly name = 'Draining';
  readonly code = 'draining';
  readonly retryable = true;
  constructor() {
    super('this process is stopping');
  }
}

/** Another process has taken the effect over, because it judged this process lost. The work of this process no longer counts, and its result is not sent. */
export class ClaimLost extends Error {
  override readonly name = 'ClaimLost';
  readonly code = 'claim-lost';
  readonly retryable = false;
  constructor(effectId: string) {
    super(`another process has taken ${effectId} over`);
  }
}

/** A compare-and-set lost: the key's revision isn't the expected one. Retry after reading again. */
export class RevisionConflict extends Error {
  override readonly name = 'RevisionConflict';
  readonly code = 'revision-conflict';
  readonly retryable = true;
  constructor(key: string, expected: number, cause?: unknown) {
    super(`${key} is not at revision ${expected}`, { cause });
  }
}

/** The server can't carry Coppice. Terminal: the message says what to install or switch on. */
export class UnsuitableServer extends Error {
  override readonly name = 'UnsuitableServer';
  readonly code = 'unsuitable-server';
  readonly retryable = false;
}

/**
 * What the handler of an idempotent command throws that has begun nothing, and can't just now: the command is looked at again a little later, and
 * nobody is told a result. (One of a claimed command holds its claim already.)
 */
export class NotNow extends Error {
  override readonly name = 'NotNow';
  readonly code = 'not-now';
  readonly retryable = true;
}

/** The work was interrupted since this process stops. Another process takes it over; nobody is told a result. */
export class Draining extends Error {
  override readonly name = 'Draining';
  readonly code = 'draining';
  readonly retryable = true;
  constructor() {
    super('this process is stopping');
  }
}

/** Another process has taken the effect over: this one was judged lost. Its work counts no more, and its result is told to nobody. */
export class ClaimLost extends Error {
  override readonly name = 'ClaimLost';
  readonly code = 'claim-lost';
  readonly retryable = false;
  constructor(effectId: string) {
    super(`another process has taken ${effectId} over`);
  }
}

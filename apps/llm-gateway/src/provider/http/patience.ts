import { CoppiceError } from '@coppice/contracts';
import type { httpLimits } from './limits.ts';

export type PatienceLimits = Record<
  keyof Pick<typeof httpLimits, 'firstEventMsMax' | 'idleMsMax' | 'totalMsMax' | 'afterFinishMsMax'>,
  number
>;

/** Once for all, since each call ends by it: to make an error takes longer than much else that is done for a call. */
const noLongerWanted = new CoppiceError('cancelled', 'the answer is no longer wanted');

/**
 * How long an answer is waited for: until its first event, from event to event, in total, and for what follows its end. `signal` is aborted, with an error that
 * says what took too long, by the first of these or by the caller's own signal.
 */
export class Patience {
  readonly #provider: string;
  readonly #limits: PatienceLimits;
  readonly #abort = new AbortController();
  readonly #total: NodeJS.Timeout;
  #timer: NodeJS.Timeout;
  readonly signal: AbortSignal;

  constructor(provider: string, callerSignal: AbortSignal, limits: PatienceLimits) {
    this.#provider = provider;
    this.#limits = limits;
    this.signal = AbortSignal.any([callerSignal, this.#abort.signal]);
    this.#total = this.#endAfter(limits.totalMsMax, 'did not end its answer');
    this.#timer = this.#endAfter(limits.firstEventMsMax, 'did not begin its answer');
  }

  /** The error of a limit that was reached; undefined where none was. */
  get ownReason(): unknown {
    return this.#abort.signal.aborted ? this.#abort.signal.reason : undefined;
  }

  /** An event came. */
  sawEvent(): void {
    this.#wait(this.#limits.idleMsMax, 'fell silent in the middle of its answer: nothing came');
  }

  /** All that matters came. */
  sawEnd(): void {
    this.#wait(this.#limits.afterFinishMsMax, 'did not close its stream');
  }

  /** Closes a connection that still is in use: an answer that nobody reads on would hold it. */
  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    clearTimeout(this.#total);
    this.#abort.abort(noLongerWanted);
  }

  #wait(ms: number, what: string): void {
    clearTimeout(this.#timer);
    this.#timer = this.#endAfter(ms, what);
  }

  #endAfter(ms: number, what: string): NodeJS.Timeout {
    return setTimeout(() => {
      const text = `${this.#provider} ${what} within ${ms} ms`;
      this.#abort.abort(new CoppiceError('provider-failed', text, { retryable: true }));
    }, ms);
  }
}

import { CoppiceError } from '@coppice/contracts';
import type { httpLimits } from './limits.ts';

export type PatienceLimits = Record<
  keyof Pick<typeof httpLimits, 'firstEventMsMax' | 'idleMsMax' | 'totalMsMax' | 'afterFinishMsMax'>,
  number
>;

/**
 * How long an answer is waited for: until its first event, from event to event, in total, and for what follows its end. `signal` is aborted, with an error that
 * says what took too long, by the first of these or by the caller's own signal.
 */
export class Patience {
  readonly #provider: string;
  readonly #limits: PatienceLimits;
  readonly #callerSignal: AbortSignal;
  readonly #abort = new AbortController();
  #ownReason: CoppiceError | undefined;
  readonly #total: NodeJS.Timeout;
  #timer: NodeJS.Timeout;
  readonly signal: AbortSignal;

  readonly #onCallerAbort = () => this.#abort.abort(this.#callerSignal.reason);

  constructor(provider: string, callerSignal: AbortSignal, limits: PatienceLimits) {
    this.#provider = provider;
    this.#limits = limits;
    // Not by AbortSignal.any, which takes as long as asking a server that is near.
    this.#callerSignal = callerSignal;
    this.signal = this.#abort.signal;
    if (callerSignal.aborted) this.#onCallerAbort();
    else callerSignal.addEventListener('abort', this.#onCallerAbort, { once: true });
    this.#total = this.#endAfter(limits.totalMsMax, 'did not end its answer');
    this.#timer = this.#endAfter(limits.firstEventMsMax, 'did not begin its answer');
  }

  /** The error of a limit that was reached; undefined where none was. */
  get ownReason(): unknown {
    return this.#ownReason;
  }

  /** An event came. */
  sawEvent(): void {
    this.#wait(this.#limits.idleMsMax, 'fell silent in the middle of its answer: nothing came');
  }

  /** All that matters came. */
  sawEnd(): void {
    this.#wait(this.#limits.afterFinishMsMax, 'did not close its stream');
  }

  /** The provider isn't waited for, until the next event: only the total goes on. */
  rest(): void {
    clearTimeout(this.#timer);
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    clearTimeout(this.#total);
    this.#callerSignal.removeEventListener('abort', this.#onCallerAbort);
  }

  #wait(ms: number, what: string): void {
    clearTimeout(this.#timer);
    this.#timer = this.#endAfter(ms, what);
  }

  #endAfter(ms: number, what: string): NodeJS.Timeout {
    return setTimeout(() => {
      const text = `${this.#provider} ${what} within ${ms} ms`;
      this.#ownReason ??= new CoppiceError('provider-failed', text, { retryable: true });
      this.#abort.abort(this.#ownReason);
    }, ms);
  }
}

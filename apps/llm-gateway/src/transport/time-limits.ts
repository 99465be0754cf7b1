import { CoppiceError } from '@coppice/contracts';
import type { httpLimits } from './limits.ts';

export type PatienceLimits = Record<
  keyof Pick<typeof httpLimits, 'firstEventMsMax' | 'idleMsMax' | 'totalMsMax' | 'afterFinishMsMax'>,
  number
>;

/**
 * The time limits of one answer. The first limit that is reached aborts `signal` with an error that names the limit.
 * The caller's signal also aborts `signal`.
 */
export class Patience {
  readonly #provider: string;
  readonly #limits: PatienceLimits;
  readonly #callerSignal: AbortSignal;
  readonly #abort = new AbortController();
  #ownReason: CoppiceError | undefined;
  readonly #total: NodeJS.Timeout;
  #next: NodeJS.Timeout;

  readonly #onCallerAbort = () => this.#abort.abort(this.#callerSignal.reason);

  constructor(provider: string, callerSignal: AbortSignal, limits: PatienceLimits) {
    this.#provider = provider;
    this.#limits = limits;
    this.#callerSignal = callerSignal;
    if (callerSignal.aborted) this.#onCallerAbort();
    else callerSignal.addEventListener('abort', this.#onCallerAbort, { once: true });
    this.#total = this.#start(limits.totalMsMax, 'did not end its answer');
    this.#next = this.#start(limits.firstEventMsMax, 'did not begin its answer');
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** Error of the limit that was reached, or undefined. */
  get ownReason(): unknown {
    return this.#ownReason;
  }

  sawEvent(): void {
    this.#restart(this.#limits.idleMsMax, 'fell silent in the middle of its answer: nothing came');
  }

  /** Starts the limit for the end of the stream. Called when at most the usage is missing. */
  sawEnd(): void {
    this.#restart(this.#limits.afterFinishMsMax, 'did not close its stream');
  }

  /** Stops the current limit. The total limit continues. */
  rest(): void {
    clearTimeout(this.#next);
  }

  end(): void {
    clearTimeout(this.#total);
    clearTimeout(this.#next);
    this.#callerSignal.removeEventListener('abort', this.#onCallerAbort);
  }

  #restart(ms: number, what: string): void {
    this.rest();
    this.#next = this.#start(ms, what);
  }

  #start(ms: number, what: string): NodeJS.Timeout {
    return setTimeout(() => {
      const text = `${this.#provider} ${what} within ${ms} ms`;
      this.#ownReason ??= new CoppiceError('provider-failed', text, { retryable: true });
      this.#abort.abort(this.#ownReason);
    }, ms);
  }
}

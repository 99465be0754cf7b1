import { CoppiceError } from '@coppice/contracts';
import type { Ending } from './client.ts';
import type { httpLimits } from './limits.ts';

export type PatienceLimits = Record<
  keyof Pick<typeof httpLimits, 'firstEventMsMax' | 'idleMsMax' | 'totalMsMax' | 'afterFinishMsMax'>,
  number
>;

/** `endsAtMs`: as `performance.now()` counts. */
type Limit = { ms: number; what: string; endsAtMs: number };

const limitFromNow = (ms: number, what: string): Limit => ({ ms, what, endsAtMs: performance.now() + ms });

/**
 * How long an answer is waited for: until its first event, from event to event, in total, and for what follows its end. It is aborted, with an error that
 * says what took too long, by the first of these or by the caller's own signal. It is no AbortSignal, since each call has one, and heard by the one request that it ends.
 */
export class Patience implements Ending {
  readonly #provider: string;
  readonly #limits: PatienceLimits;
  readonly #callerSignal: AbortSignal;
  #aborted = false;
  #reason: unknown;
  #listener: (() => void) | null = null;
  #ownReason: CoppiceError | undefined;
  readonly #total: Limit;
  /** Null where only the total counts. */
  #next: Limit | null;
  /** One for both, which is late where more time was given since: to make and end one for each event takes longer than to read it. */
  #timer: NodeJS.Timeout | null = null;
  #timerEndsAtMs = Number.POSITIVE_INFINITY;

  readonly #onCallerAbort = () => this.#abort(this.#callerSignal.reason);

  constructor(provider: string, callerSignal: AbortSignal, limits: PatienceLimits) {
    this.#provider = provider;
    this.#limits = limits;
    // Not by AbortSignal.any, which takes as long as asking a server that is near.
    this.#callerSignal = callerSignal;
    if (callerSignal.aborted) this.#onCallerAbort();
    else callerSignal.addEventListener('abort', this.#onCallerAbort, { once: true });
    this.#total = limitFromNow(limits.totalMsMax, 'did not end its answer');
    this.#next = limitFromNow(limits.firstEventMsMax, 'did not begin its answer');
    this.#watch();
  }

  get reason(): unknown {
    return this.#reason;
  }

  throwIfAborted(): void {
    if (this.#aborted) throw this.#reason;
  }

  addEventListener(_abort: 'abort', listener: () => void): void {
    this.#listener = listener;
  }

  removeEventListener(_abort: 'abort', listener: () => void): void {
    if (this.#listener === listener) this.#listener = null;
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
    this.#next = null;
  }

  /** Nothing is waited for any more. */
  end(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#callerSignal.removeEventListener('abort', this.#onCallerAbort);
  }

  #wait(ms: number, what: string): void {
    this.#next = limitFromNow(ms, what);
    if (this.#next.endsAtMs < this.#timerEndsAtMs) this.#watch();
  }

  /** Until the first of the limits. */
  #watch(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timerEndsAtMs = Math.min(this.#total.endsAtMs, this.#next?.endsAtMs ?? Number.POSITIVE_INFINITY);
    this.#timer = setTimeout(() => this.#look(), Math.ceil(this.#timerEndsAtMs - performance.now()));
  }

  #look(): void {
    const nowMs = performance.now();
    const over = [this.#total, this.#next].find((limit) => limit !== null && limit.endsAtMs <= nowMs) ?? null;
    if (over === null) return this.#watch();
    const text = `${this.#provider} ${over.what} within ${over.ms} ms`;
    this.#ownReason ??= new CoppiceError('provider-failed', text, { retryable: true });
    this.#abort(this.#ownReason);
  }

  #abort(reason: unknown): void {
    if (this.#aborted) return;
    this.#aborted = true;
    this.#reason = reason;
    this.#listener?.();
  }
}

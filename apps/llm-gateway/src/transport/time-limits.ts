import { CoppiceError } from '@coppice/contracts';
import type { Ending } from './client.ts';
import type { httpLimits } from './limits.ts';

export type PatienceLimits = Record<
  keyof Pick<typeof httpLimits, 'firstEventMsMax' | 'idleMsMax' | 'totalMsMax' | 'afterFinishMsMax'>,
  number
>;

/** `endsAtMs` is on the clock of `performance.now()`. */
type Limit = { ms: number; what: string; endsAtMs: number };

const limitFromNow = (ms: number, what: string): Limit => ({ ms, what, endsAtMs: performance.now() + ms });

/**
 * The time limits of one answer: until the first event, between events, in total, and after its end. The first limit that is reached aborts the request with an error that
 * names it; the caller's own signal aborts it, too. It isn't an AbortSignal, which would be slower: each call has one of these, with a single listener.
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
  /** Null while only the total limit counts. */
  #next: Limit | null;
  /** One timer for both limits. It is not moved when a limit is extended, and may fire early: setting a timer for each event takes longer than reading the event. */
  #timer: NodeJS.Timeout | null = null;
  #timerEndsAtMs = Number.POSITIVE_INFINITY;

  readonly #onCallerAbort = () => this.#abort(this.#callerSignal.reason);

  constructor(provider: string, callerSignal: AbortSignal, limits: PatienceLimits) {
    this.#provider = provider;
    this.#limits = limits;
    // AbortSignal.any takes as long as a request to a nearby server.
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

  /** The error of the limit that was reached; undefined if none was. */
  get ownReason(): unknown {
    return this.#ownReason;
  }

  /** Starts the limit until the next event. */
  sawEvent(): void {
    this.#wait(this.#limits.idleMsMax, 'fell silent in the middle of its answer: nothing came');
  }

  /** Starts the limit for the end of the stream, after everything that matters arrived. */
  sawEnd(): void {
    this.#wait(this.#limits.afterFinishMsMax, 'did not close its stream');
  }

  /** Stops the limit between events until the next one. The total limit goes on. */
  rest(): void {
    this.#next = null;
  }

  /** Stops all limits. */
  end(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#callerSignal.removeEventListener('abort', this.#onCallerAbort);
  }

  #wait(ms: number, what: string): void {
    this.#next = limitFromNow(ms, what);
    if (this.#next.endsAtMs < this.#timerEndsAtMs) this.#watch();
  }

  /** Sets the timer for the earlier of the two limits. */
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

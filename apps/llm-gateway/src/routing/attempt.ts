import { CoppiceError } from '@coppice/contracts';
import { AnswerBounds } from '../answer-bounds.ts';
import { plausibleOf, withEstimates } from '../usage.ts';
import { outputTokensDefault } from '../budget/reservation-size.ts';
import type {
  FinishReason,
  ModelDelta,
  ModelRequest,
  Provider,
  RequestContext,
  RequestState,
  UsageSoFar,
} from '../provider/port.ts';
import { exchangeLimits } from './limits.ts';

export type AttemptOutcome = {
  /** Null if the answer is complete. */
  error: CoppiceError | null;
  /** Includes estimates of missing counts if the provider may charge for the request. */
  usage: UsageSoFar;
  responseModel: string | null;
  finishReason: FinishReason | null;
  latencyMs: number;
};

type ResponseEnd = Extract<ModelDelta, { type: 'response-end' }>;

/** One request to one provider. An abort takes effect at once, even if the provider ignores the signal. */
export class Attempt {
  readonly #provider: string;
  readonly #bounds: AnswerBounds;
  readonly #request: ModelRequest;
  readonly #signal: AbortSignal;
  readonly #iterator: AsyncIterator<readonly ModelDelta[]>;
  readonly #onEnd: (outcome: AttemptOutcome) => void;
  readonly #startedAtMs = performance.now();
  #interrupt: (reason: unknown) => void = () => {};
  #pulling = false;
  #committed = false;
  #over = false;
  #state: RequestState | null = null;
  #outputBegan = false;
  /** True if the provider's raw events are passed on. Then the client validates the answer itself. */
  #isPassedOn = false;
  #outputBytes = 0;
  #usage: UsageSoFar = {};
  #responseModel: string | null = null;
  #finishReason: FinishReason | null = null;

  /** If the caller is reading, its pending read throws the abort's reason. Otherwise the attempt ends here. */
  readonly #onAbort = () => {
    this.#interrupt(this.#signal.reason);
    if (!this.#pulling) this.end(this.#asCoppiceError(this.#signal.reason));
  };

  /** @param onEnd gets the outcome once, before `response-end` is returned or when the caller ends the attempt */
  constructor(
    provider: Provider,
    request: ModelRequest,
    context: RequestContext,
    onEnd: (outcome: AttemptOutcome) => void,
  ) {
    this.#provider = provider.name;
    this.#bounds = new AnswerBounds(`${provider.name}'s answer`);
    this.#request = request;
    this.#signal = context.signal;
    this.#onEnd = onEnd;
    const deltas = provider.stream(request, { ...context, onState: (state) => this.#noteState(state) });
    this.#iterator = deltas[Symbol.asyncIterator]();
    this.#signal.addEventListener('abort', this.#onAbort, { once: true });
  }

  /** True once the caller has received a part of this answer. From then on, no other provider is tried. */
  get committed(): boolean {
    return this.#committed;
  }

  get ended(): boolean {
    return this.#finishReason !== null;
  }

  /**
   * Returns the deltas up to and including the first output. Returns earlier if `peekEventsMax` or `peekBytesMax` is
   * reached.
   * @throws as `next`. The caller has received nothing by then.
   */
  async opening(): Promise<readonly ModelDelta[]> {
    const held: ModelDelta[] = [];
    let bytes = 0;
    while (
      !this.#outputBegan &&
      !this.ended &&
      held.length < exchangeLimits.peekEventsMax &&
      bytes < exchangeLimits.peekBytesMax
    ) {
      for (const delta of await this.next()) {
        held.push(delta);
        if (delta.type === 'raw') bytes += delta.data.length;
      }
    }
    this.#committed = true;
    return held;
  }

  /**
   * Returns the next deltas.
   * @throws CoppiceError, also if the answer ends without `response-end`.
   */
  async next(): Promise<readonly ModelDelta[]> {
    this.#pulling = true;
    try {
      const next = await this.#pull();
      if (next.done !== true) {
        for (const delta of next.value) this.#note(delta);
        return next.value;
      }
    } catch (error) {
      throw this.#asCoppiceError(error);
    } finally {
      this.#pulling = false;
    }
    const where = this.#outputBegan ? 'in the middle' : 'before it began';
    const text = `${this.#provider} ended its answer ${where}`;
    throw new CoppiceError('provider-failed', text, { retryable: true });
  }

  /** Ends the upstream call. Does nothing if the answer has already ended. */
  end(failure: CoppiceError | null): void {
    if (this.#over) return;
    this.#over = true;
    this.#signal.removeEventListener('abort', this.#onAbort);
    // Not awaited, since a provider that hangs would block the caller. Errors are ignored, since the outcome is already
    // known.
    this.#iterator.return?.().catch(() => {});
    this.#onEnd({
      error: failure,
      usage: this.#paidFor(failure),
      responseModel: this.#responseModel,
      finishReason: this.#finishReason,
      latencyMs: Math.round(performance.now() - this.#startedAtMs),
    });
  }

  #noteState(state: RequestState): void {
    // If the provider refuses a request early, the body may still be in transit, and `sent` may follow. So every state
    // after `refused` is ignored. `over` means nothing for a request that wasn't sent.
    if (this.#state === 'refused' || (state === 'over' && this.#state === null)) return;
    this.#state = state;
  }

  #paidFor(failure: CoppiceError | null): UsageSoFar {
    const isSent = this.#state === 'sent' || this.#state === 'over';
    if (failure !== null && !isSent && !this.#outputBegan) return this.#usage;
    // The vendor generates an abandoned unstreamed answer to its end, and its length is unknown. So the answer is
    // charged at its maximum length.
    const isUnseen = this.#request.stream === false && this.#state === 'sent' && !this.#outputBegan;
    const { maxOutputTokens = outputTokensDefault } = this.#request.settings;
    const counted = isUnseen && failure !== null ? { outputTokens: maxOutputTokens, ...this.#usage } : this.#usage;
    return withEstimates(counted, this.#request, this.#outputBytes);
  }

  #pull(): Promise<IteratorResult<readonly ModelDelta[]>> {
    return new Promise((resolve, reject) => {
      if (this.#signal.aborted) return reject(this.#signal.reason as Error);
      this.#interrupt = reject;
      this.#iterator.next().then(resolve, reject);
    });
  }

  #note(delta: ModelDelta): void {
    switch (delta.type) {
      case 'raw':
        this.#isPassedOn = true;
        break;
      case 'response-start':
        // Each chunk for a client may repeat the id and the name, so their length is limited.
        this.#bounds.checkedId(delta.responseId ?? '');
        this.#responseModel = this.#bounds.checkedName(delta.responseModel ?? this.#responseModel ?? '') || null;
        break;
      case 'usage':
        this.#usage = { ...this.#usage, ...plausibleOf(delta.usage) };
        break;
      case 'response-end':
        if (!this.#isPassedOn) this.#requireAnswer(delta);
        this.#finishReason = delta.finishReason;
        this.end(null);
        break;
      default:
        this.#outputBegan = true;
        this.#outputBytes += Buffer.byteLength(delta.type === 'tool-call-delta' ? delta.arguments : delta.text);
    }
  }

  /**
   * Rejects an answer that failed without an error, for example because of a malformed tool call. Otherwise the client
   * would receive an empty answer. The error has `answered`, since the provider charges for the answer.
   */
  #requireAnswer({ finishReason, providerFinishReason = 'no reason', lost }: ResponseEnd): void {
    const fail = (what: string, retryable: boolean) =>
      new CoppiceError('provider-failed', `${this.#provider} ${what}`, { retryable, details: { answered: true } });
    if (lost !== undefined) throw fail(`answered with ${lost}, which the gateway can't pass on`, false);
    if (finishReason === 'other' && !this.#outputBegan)
      throw fail(`ended its answer without any content (${providerFinishReason})`, true);
  }

  #asCoppiceError(thrown: unknown): CoppiceError {
    const error: unknown = this.#signal.aborted ? this.#signal.reason : thrown;
    if (error instanceof CoppiceError) return error;
    const message = error instanceof Error ? error.message : String(error);
    if (this.#signal.aborted) return new CoppiceError('cancelled', message, { cause: error });
    return new CoppiceError('provider-failed', `${this.#provider} failed: ${message}`, { cause: error });
  }
}

/**
 * One model call. The caller is the handler of a durable model call, a client on the bus, or a client over HTTP.
 *
 * Collaborators: the choice between the routes of the resolved model (choosing.ts); one attempt and its outcome
 * (attempt.ts); the answer cache, if enabled, which is read before any provider is called; the caller, who reads the
 * deltas at its own pace.
 *
 * Invariants:
 * 1. The caller receives deltas of one provider only, the last one tried. Deltas are held back until the first output
 * or a limit (`peekEventsMax`, `peekBytesMax`). No attempt follows after the first delta was passed on.
 * 2. The deltas end with `response-end`, or throw a CoppiceError. So the caller never takes a cut answer for a complete
 * one.
 * 3. The result is complete before `response-end` is passed on, before an error is thrown, and when the caller ends the
 * iteration early. It includes the usage of failed attempts.
 * 4. The end of the iteration, the caller's signal and the time limit each end the upstream call.
 */
import { CoppiceError } from '@coppice/contracts';
import { createLogger } from '@coppice/telemetry';
import { throughCache } from '../cache/cached-exchange.ts';
import { nothing } from '../budget/amount.ts';
import type { Amount } from '../budget/amount.ts';
import type { Budget, Reservation } from '../budget/budget.ts';
import {
  longestWithin,
  maximumUsage,
  outputTokensDefault,
  outputTokensMin,
  usedOf,
} from '../budget/reservation-size.ts';
import type { Prices } from '../budget/prices.ts';
import { unlessAborted } from '../awaiting.ts';
import type { ModelDelta, ModelDeltas, ModelRequest, RequestContext, UsageSoFar } from '../provider/port.ts';
import { sumOfUsage, reportedUsage } from '../usage.ts';
import { Attempt } from './attempt.ts';
import type { AttemptOutcome } from './attempt.ts';
import { startAttemptSpan } from './attempt-span.ts';
import type { AttemptAbout } from './attempt-span.ts';
import { Candidate, goesOn, isOfBudget } from './candidate.ts';
import { Choosing } from './choosing.ts';
import type { Choice } from './choosing.ts';
import type { ExchangeCollaborators } from './collaborators.ts';
import type { ResolvedModel } from './routes.ts';

export type Call = {
  model: ResolvedModel;
  request: Omit<ModelRequest, 'model'>;
  /** For a call outside of tasks, `runId` and `taskId` are empty. */
  context: RequestContext;
  /** Deadline, on the clock of `Date.now()`. */
  endsAtMs: number;
  /**
   * Budgets that limit each attempt. Its maximum usage is reserved in all of them before the attempt, and its actual
   * usage is charged afterwards.
   */
  budgets?: readonly Budget[];
  /**
   * Longest single wait until a candidate may be tried. If each candidate needs a longer wait, the call fails at once.
   * Default: `RetrySettings.retryAfterMsMax`.
   */
  candidateWaitMsMax?: number;
  /**
   * Longest time for which a candidate waits for budget that other calls have reserved. The time starts at the first
   * refusal by a budget. Default: until the call's deadline, since the failure of a durable model call would fail its
   * task.
   */
  budgetWaitMsMax?: number;
  /** Awaited immediately before each attempt. An error that it throws ends the call. */
  beforeAttempt?: () => Promise<void>;
};

export type AttemptReport = {
  provider: string;
  model: string;
  /** Missing if the provider answered. */
  error?: CoppiceError;
  usage: UsageSoFar;
  latencyMs: number;
};

export type ExchangeResult = {
  /** Provider that answered or was tried last; null if no request was sent. */
  provider: string | null;
  /** Model name as that provider knows it. */
  model: string | null;
  attempts: AttemptReport[];
  /** Usage of all attempts together, since failed attempts are charged, too. */
  usage: UsageSoFar;
  /** Null if the price is unknown. */
  costUsd: number | null;
  /** Time from the caller's first read until the last delta was read, or until the call failed or was abandoned. */
  latencyMs: number;
  queuedMs: number;
  /**
   * Output limit that the gateway set because the budgets had too little left for the default limit; null if it set
   * none.
   */
  cap: OutputCap | null;
  /** True for an answer from the cache. `usage` is then the usage of the original answer, and the cost is 0. */
  cached: boolean;
};

/** `why` is the budget error that the call would have got without the cap. */
export type OutputCap = { outputTokens: number; why: CoppiceError };

export type Exchange = {
  /**
   * Can be read once. No provider is called before the first read. If the caller ends the iteration early, the upstream
   * call ends.
   * @throws CoppiceError.
   */
  deltas: ModelDeltas;
  /** Complete as invariant 3 states. */
  result: Readonly<ExchangeResult>;
};

export function startExchange(collaborators: ExchangeCollaborators, call: Call): Exchange {
  const { cache } = collaborators;
  const exchange = new RunningExchange(collaborators, call);
  const running = { deltas: exchange.deltas(), result: exchange.result };
  return cache === null || call.request.settings.cache === false ? running : throughCache(running, cache, call);
}

const log = createLogger('llm-gateway');

class RunningExchange {
  readonly #with: ExchangeCollaborators;
  readonly #call: Call;
  readonly #abort = new AbortController();
  readonly result: ExchangeResult = {
    provider: null,
    model: null,
    attempts: [],
    usage: {},
    costUsd: null,
    latencyMs: 0,
    queuedMs: 0,
    cap: null,
    cached: false,
  };
  #startedAtMs = 0;
  /**
   * Retryable budget error since the last attempt, or null. At the deadline, the call reports this error instead of a
   * timeout.
   */
  #refused: CoppiceError | null = null;

  constructor(collaborators: ExchangeCollaborators, call: Call) {
    this.#with = collaborators;
    this.#call = call;
  }

  async *deltas(): AsyncGenerator<readonly ModelDelta[], void, undefined> {
    this.#startedAtMs = performance.now();
    const { budgetWaitMsMax = Number.POSITIVE_INFINITY } = this.#call;
    const forgetLimits = this.#heedLimits();
    try {
      const choosing = this.#choosing();
      let before: CoppiceError | null = null;
      for (;;) {
        const choice = await choosing.next();
        const reservation = await this.#reserve(choice);
        // Other candidates may have a known or lower price.
        if (reservation instanceof CoppiceError) {
          this.#refused = reservation.retryable ? reservation : null;
          choice.candidate.refused(reservation, performance.now(), budgetWaitMsMax);
          continue;
        }
        this.#refused = null;
        await this.#confirm(choice, reservation);
        const attempt = this.#begin(choice, before, reservation);
        let error: CoppiceError | null = null;
        try {
          const opening = await attempt.opening();
          choice.permit.began();
          yield opening;
          while (!attempt.ended) yield await attempt.next();
          return;
        } catch (thrown) {
          error = thrown as CoppiceError;
        } finally {
          if (!attempt.ended) attempt.end(error ?? leftEarly());
        }
        if (attempt.committed || !goesOn(error)) throw error;
        choice.candidate.failed(error, performance.now());
        before = error;
      }
    } catch (thrown) {
      throw this.#reasonOf(thrown);
    } finally {
      forgetLimits();
      this.result.latencyMs = this.#elapsedMs();
    }
  }

  #choosing(): Choosing {
    const { queues, retry } = this.#with;
    const { model, context, endsAtMs, candidateWaitMsMax = retry.retryAfterMsMax } = this.#call;
    const caller = { tenant: context.owner.tenant };
    return new Choosing({
      model: model.name,
      candidates: model.routes.map((route) => new Candidate(route, this.#with, caller)),
      queues,
      owner: context.owner,
      signal: this.#abort.signal,
      endsAtMs: performance.now() + (endsAtMs - Date.now()),
      candidateWaitMsMax,
      random: retry.random,
    });
  }

  /**
   * Reserves the maximum usage in the budgets. If the request sets no output limit and too little is left for the
   * default limit, the answer gets a lower limit. For a durable model call this happens only if calls in flight can
   * return nothing more, since a truncated answer would make that call fail.
   * @returns the error if a budget is too small for this candidate. The slot at the provider is then released.
   * @throws CoppiceError if a budget can't be read, or the signal's reason.
   */
  async #reserve({ candidate, permit, release }: Choice): Promise<Reservation | CoppiceError | null> {
    const { budgets, prices } = this.#with;
    const { budgets: own = [], request, budgetWaitMsMax } = this.#call;
    const { signal } = this.#abort;
    this.result.cap = null;
    if (budgets === null || own.length === 0) return null;
    try {
      const { provider, model } = candidate.route;
      if (provider.wire !== null) requirePrice(candidate, prices, own);
      const most = maximumUsage({ provider: provider.name, model, request }, prices);
      const { maxOutputTokens } = request.settings;
      if (maxOutputTokens !== undefined) return await budgets.reserve(own, most(maxOutputTokens), null, signal);
      const less = {
        least: most(outputTokensMin),
        patient: budgetWaitMsMax === undefined,
        within: (free: Amount, why: CoppiceError) => {
          const outputTokens = longestWithin(most, free);
          this.result.cap = { outputTokens, why };
          return most(outputTokens);
        },
      };
      return await budgets.reserve(own, most(outputTokensDefault), less, signal);
    } catch (error) {
      release();
      permit.ended(leftEarly());
      if (error instanceof CoppiceError && isOfBudget(error)) return error;
      throw error;
    }
  }

  /** Runs `beforeAttempt`. If it throws, releases the slot and the budgets. */
  async #confirm({ permit, release }: Choice, reservation: Reservation | null): Promise<void> {
    const { beforeAttempt } = this.#call;
    if (beforeAttempt === undefined) return;
    try {
      await unlessAborted(beforeAttempt(), this.#abort.signal);
    } catch (error) {
      release();
      permit.ended(leftEarly());
      reservation?.settle(nothing);
      throw error;
    }
  }

  /**
   * Aborts the call at the deadline and on the caller's signal.
   * @returns a function that stops this.
   */
  #heedLimits(): () => void {
    const { endsAtMs, model, context } = this.#call;
    const timeLimitMs = Math.max(0, endsAtMs - Date.now());
    const timer = setTimeout(() => {
      const text = `${model.name} did not answer within ${timeLimitMs} ms`;
      this.#abort.abort(this.#refused ?? new CoppiceError('deadline-exceeded', text));
    }, timeLimitMs);
    const onAbort = () => this.#abort.abort(context.signal.reason);
    if (context.signal.aborted) onAbort();
    else context.signal.addEventListener('abort', onAbort, { once: true });
    return () => {
      clearTimeout(timer);
      context.signal.removeEventListener('abort', onAbort);
    };
  }

  #begin(
    { candidate, permit, release, queuedMs }: Choice,
    before: CoppiceError | null,
    reservation: Reservation | null,
  ): Attempt {
    const { result } = this;
    const { request, context } = this.#call;
    const { provider, model } = candidate.route;
    const { owner, effectId } = context;
    this.#setLastRequested({ provider: provider.name, model });
    result.queuedMs += Math.round(queuedMs);
    const attempt = result.attempts.length + 1;
    const about = { provider: provider.name, model, owner, effectId, attempt, before, queuedMs };
    const span = startAttemptSpan(about);
    const requestContext = {
      ...context,
      signal: this.#abort.signal,
      onUsedUp: (forMs: number) => candidate.coolDown(forMs),
    };
    return new Attempt(provider, { ...capped(request, result.cap), model }, requestContext, (counted) => {
      release();
      permit.ended(counted.error);
      const outcome = { ...counted, usage: this.#priced(provider.name, model, counted.usage) };
      reservation?.settle(usedOf(outcome.usage));
      span.end(outcome);
      this.#report(about, outcome);
    });
  }

  #setLastRequested(who: Pick<AttemptReport, 'provider' | 'model'> | null): void {
    this.result.provider = who?.provider ?? null;
    this.result.model = who?.model ?? null;
  }

  #priced(provider: string, model: string, usage: UsageSoFar): UsageSoFar {
    const costUsd = this.#with.prices.costOf(provider, model, usage);
    return { ...reportedUsage(usage), ...(costUsd === null ? {} : { costUsd }) };
  }

  #report({ provider, model, owner, effectId, attempt }: AttemptAbout, outcome: AttemptOutcome): void {
    const { result } = this;
    const { error, usage, latencyMs } = outcome;
    // If a key is missing, no request was sent.
    if (error?.details?.['keyRequired'] === undefined)
      result.attempts.push({ provider, model, usage, latencyMs, ...(error === null ? {} : { error }) });
    else this.#setLastRequested(result.attempts.at(-1) ?? null);
    result.usage = sumOfUsage(result.usage, usage);
    result.costUsd = result.usage.costUsd ?? null;
    result.latencyMs = this.#elapsedMs();
    if (error !== null && error.code !== 'cancelled')
      log.warn({ err: error, effectId, owner, provider, model, attempt }, 'the provider failed');
  }

  /** After an abort, returns its reason, since the error that the abort caused in the attempt says less. */
  #reasonOf(thrown: unknown): unknown {
    const { aborted, reason } = this.#abort.signal;
    if (!aborted || reason === thrown) return thrown;
    if (reason instanceof CoppiceError) return reason;
    return thrown instanceof CoppiceError ? thrown : new CoppiceError('cancelled', String(reason), { cause: reason });
  }

  #elapsedMs(): number {
    return Math.round(performance.now() - this.#startedAtMs);
  }
}

/**
 * Requires a known price if a budget limits US dollars. A scripted provider is exempt, since it reports its own cost.
 * @throws CoppiceError `permission-denied`, since no wait helps until the operator configures a price.
 */
function requirePrice({ name, route }: Candidate, prices: Prices, budgets: readonly Budget[]): void {
  const inDollars = budgets.find(({ limit }) => limit.costUsd !== undefined);
  if (inDollars === undefined || prices.costOf(route.provider.name, route.model, {}) !== null) return;
  const { name: budget, limit } = inDollars;
  const why = prices.whyUnknown(route.provider.name, route.model);
  const because = why === '' ? '' : `, ${why}`;
  const text = `${budget} has a limit in US dollars, and what ${name} costs is not known${because}: give it a price in the gateway's file`;
  throw new CoppiceError('permission-denied', text, { details: { budget, limit, priceUnknown: true } });
}

/** Adds the output limit to the request, so that the answer can't exceed the reservation. */
function capped(request: Call['request'], cap: OutputCap | null): Call['request'] {
  if (cap === null) return request;
  const { settings, original } = request;
  const maxOutputTokens = cap.outputTokens;
  return {
    ...request,
    settings: { ...settings, maxOutputTokens },
    ...(original === undefined ? {} : { original: { ...original, maxOutputTokens } }),
  };
}

const leftEarly = (): CoppiceError => new CoppiceError('cancelled', 'the answer is no longer wanted');

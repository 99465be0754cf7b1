/**
 * One question to a model, whoever asks it: a durable turn, a client on the bus, a client over HTTP.
 *
 * Collaborators: who may answer to the name (routes.ts), and who of them is asked next (choosing.ts); what an attempt comes to (attempt.ts); where it is
 * switched on, the cache of answers, which is looked into before anybody is asked; who asks, and reads the deltas at its own pace.
 *
 * Invariants:
 * 1. What the caller is given is of one provider's answer alone, the last one's. Until its first semantic output nothing is handed on, and only until then
 *    is anybody asked again.
 * 2. The deltas end with `response-end`, or throw a CoppiceError: an answer that was cut is never told as a whole one.
 * 3. The result is complete before `response-end` is handed on, before the error is thrown, and when the caller leaves; what failed attempts used is in it.
 * 4. A caller that leaves, its signal and the time limit end the upstream call.
 */
import { CoppiceError } from '@coppice/contracts';
import { createLogger } from '@coppice/telemetry';
import { throughCache } from '../cache/cached-exchange.ts';
import { nothing } from '../money/amount.ts';
import type { Amount } from '../money/amount.ts';
import type { Budget, Reservation } from '../money/budgets.ts';
import { longestWithin, mostOf, outputTokensDefault, outputTokensMin, usedOf } from '../money/most-of.ts';
import type { Prices } from '../money/prices.ts';
import { unlessAborted } from '../money/unless-aborted.ts';
import type { ModelDelta, ModelDeltas, ModelRequest, RequestContext, UsageSoFar } from '../provider/port.ts';
import { sumOfUsage, toldOf } from '../usage.ts';
import { Attempt } from './attempt.ts';
import type { AttemptOutcome } from './attempt.ts';
import { startAttemptSpan } from './attempt-span.ts';
import type { AttemptAbout } from './attempt-span.ts';
import { Candidate, goesOn, isOfBudget } from './candidate.ts';
import { Choosing } from './choosing.ts';
import type { Choice } from './choosing.ts';
import type { ExchangeCollaborators } from './collaborators.ts';

export type Call = {
  /** `provider/model`, or an alias, see routes.ts. */
  model: string;
  request: Omit<ModelRequest, 'model'>;
  /** Of a call beside all tasks, `runId` and `taskId` are empty. */
  context: RequestContext;
  /** When it is given up, as `Date.now()` counts. */
  endsAtMs: number;
  /** What each attempt must fit. Before it, what it may use at most is reserved in all of them; after it, what it used is settled. */
  budgets?: readonly Budget[];
  /**
   * How long it is waited, each time, where nobody may be asked just now; default `retryAfterMsMax` of the retries. And how long in all for budgets that calls in
   * flight have reserved; default to the call's end.
   */
  patienceMs?: number;
  /** Awaited immediately before each attempt; what it throws ends the call. */
  beforeAttempt?: () => Promise<void>;
};

export type AttemptReport = {
  provider: string;
  model: string;
  /** Why it was given up; missing where it was answered. */
  error?: CoppiceError;
  usage: UsageSoFar;
  latencyMs: number;
};

export type ExchangeResult = {
  /** Who answered, or was asked last; null where nobody was asked. */
  provider: string | null;
  /** As that provider names it. */
  model: string | null;
  attempts: AttemptReport[];
  /** Of all attempts together: a failed one is paid for, too. */
  usage: UsageSoFar;
  /** Null where the price isn't known. */
  costUsd: number | null;
  /** From the first delta that was asked for to the end of the last. */
  latencyMs: number;
  /** How long it waited for its turn at the providers. */
  queuedMs: number;
  /** To how many tokens the answer was limited, since its budgets had no more left; null where they had. */
  cap: OutputCap | null;
  /** Whether the answer is an earlier one: `usage` is then what that one used, and it cost nothing. */
  cached: boolean;
};

/** `why`: what was refused in its place. */
export type OutputCap = { outputTokens: number; why: CoppiceError };

export type Exchange = {
  /** To be read once. Nobody is asked before it is; who leaves it early ends the upstream call. @throws CoppiceError. */
  deltas: ModelDeltas;
  /** Filled in by then; see invariant 3. */
  result: Readonly<ExchangeResult>;
};

export function startExchange(collaborators: ExchangeCollaborators, call: Call): Exchange {
  const { cache } = collaborators;
  const exchange = new RunningExchange(collaborators, call);
  const running = { deltas: exchange.deltas(), result: exchange.result };
  return cache === null || call.request.settings.cache === false
    ? running
    : throughCache(running, cache, collaborators, call);
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
  /** By a budget that calls in flight take up, since somebody was asked: what the time limit then is to tell. */
  #refused: CoppiceError | null = null;

  constructor(collaborators: ExchangeCollaborators, call: Call) {
    this.#with = collaborators;
    this.#call = call;
  }

  async *deltas(): AsyncGenerator<readonly ModelDelta[], void, undefined> {
    this.#startedAtMs = performance.now();
    const forgetLimits = this.#heedLimits();
    try {
      const choosing = this.#choosing();
      let before: CoppiceError | null = null;
      for (;;) {
        const choice = await choosing.next();
        const reservation = await this.#reserve(choice);
        // Another may have a price, or a lower one.
        if (reservation instanceof CoppiceError) {
          this.#refused = reservation.retryable ? reservation : null;
          choice.candidate.refused(reservation, performance.now(), this.#budgetPatienceMs);
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

  /** A durable turn waits for calls in flight as long as it may take: its failure would be its task's. */
  get #budgetPatienceMs(): number {
    return this.#call.patienceMs ?? Number.POSITIVE_INFINITY;
  }

  /** @throws CoppiceError `model-not-found`. */
  #choosing(): Choosing {
    const { routes, queues, retry } = this.#with;
    const { model, context, endsAtMs, patienceMs = retry.retryAfterMsMax } = this.#call;
    const caller = { tenant: context.owner.tenant };
    return new Choosing({
      model,
      candidates: routes.of(model).map((route) => new Candidate(route, this.#with, caller)),
      queues,
      owner: context.owner,
      signal: this.#abort.signal,
      endsAtMs: performance.now() + (endsAtMs - Date.now()),
      patienceMs,
      random: retry.random,
    });
  }

  /**
   * Where the request names no maximum of output, an answer makes do with what is left; that of a durable turn only where no more can come back, since it fails when it is cut.
   * @returns why, where a budget is too small for this candidate; the place at the provider is then another's. @throws CoppiceError where a budget can't be asked; the signal's reason.
   */
  async #reserve({ candidate, permit, release }: Choice): Promise<Reservation | CoppiceError | null> {
    const { budgets, prices } = this.#with;
    const { budgets: own = [], request } = this.#call;
    const { signal } = this.#abort;
    this.result.cap = null;
    if (budgets === null || own.length === 0) return null;
    try {
      const { provider, model } = candidate.route;
      if (provider.wire !== null) requirePrice(candidate, prices, own);
      const most = mostOf({ provider: provider.name, model, request }, prices);
      const { maxOutputTokens } = request.settings;
      if (maxOutputTokens !== undefined) return await budgets.reserve(own, most(maxOutputTokens), null, signal);
      const less = {
        least: most(outputTokensMin),
        patient: this.#budgetPatienceMs === Number.POSITIVE_INFINITY,
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

  /** The place and the budgets are given back where the caller may not go on. */
  async #confirm({ permit, release }: Choice, reservation: Reservation | null): Promise<void> {
    const { beforeAttempt } = this.#call;
    if (beforeAttempt === undefined) return;
    try {
      await unlessAborted(beforeAttempt(), this.#abort.signal, () => {});
    } catch (error) {
      release();
      permit.ended(leftEarly());
      reservation?.settle(nothing);
      throw error;
    }
  }

  /** Gives a function that forgets them. */
  #heedLimits(): () => void {
    const { endsAtMs, model, context } = this.#call;
    const timeLimitMs = Math.max(0, endsAtMs - Date.now());
    const timer = setTimeout(() => {
      const text = `${model} did not answer within ${timeLimitMs} ms`;
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
    this.#askedLast({ provider: provider.name, model });
    result.queuedMs += Math.round(queuedMs);
    const attempt = result.attempts.length + 1;
    const about = { provider: provider.name, model, owner, effectId, attempt, before, queuedMs };
    const span = startAttemptSpan(about);
    const asking = {
      ...context,
      signal: this.#abort.signal,
      onUsedUp: (forMs: number) => candidate.coolDown(forMs),
    };
    return new Attempt(provider, { ...capped(request, result.cap), model }, asking, (counted) => {
      release();
      permit.ended(counted.error);
      const outcome = { ...counted, usage: this.#priced(provider.name, model, counted.usage) };
      reservation?.settle(usedOf(outcome.usage));
      span.end(outcome);
      this.#report(about, outcome);
    });
  }

  #askedLast(who: Pick<AttemptReport, 'provider' | 'model'> | null): void {
    this.result.provider = who?.provider ?? null;
    this.result.model = who?.model ?? null;
  }

  #priced(provider: string, model: string, usage: UsageSoFar): UsageSoFar {
    const costUsd = this.#with.prices.costOf(provider, model, usage);
    return { ...toldOf(usage), ...(costUsd === null ? {} : { costUsd }) };
  }

  #report({ provider, model, owner, effectId, attempt }: AttemptAbout, outcome: AttemptOutcome): void {
    const { result } = this;
    const { error, usage, latencyMs } = outcome;
    // Without a key nobody was asked.
    if (error?.details?.['keyRequired'] === undefined)
      result.attempts.push({ provider, model, usage, latencyMs, ...(error === null ? {} : { error }) });
    else this.#askedLast(result.attempts.at(-1) ?? null);
    result.usage = sumOfUsage(result.usage, usage);
    result.costUsd = result.usage.costUsd ?? null;
    result.latencyMs = this.#elapsedMs();
    // A caller that leaves is no failure.
    if (error !== null && error.code !== 'cancelled')
      log.warn({ err: error, effectId, owner, provider, model, attempt }, 'the provider failed');
  }

  /** What ended the exchange from outside says more than what it did to the attempt. */
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
 * A provider of our own that plays a script tells what it costs.
 * @throws CoppiceError `permission-denied`: nothing is used up, and no waiting helps, until whoever runs the gateway gives it a price.
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

/** The provider is told, so that what is reserved is enough. */
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

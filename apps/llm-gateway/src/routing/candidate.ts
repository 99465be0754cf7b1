import { CoppiceError } from '@coppice/contracts';
import type { Caller, LastFailure } from './circuit.ts';
import { statedWaitMs } from './health.ts';
import type { Health, Permit } from './health.ts';
import { pauseBeforeRetry } from './retry.ts';
import type { RetrySettings } from './retry.ts';
import type { Route } from './routes.ts';

/**
 * Errors after which the next candidate is tried. Another provider may have the model, may accept a longer
 * conversation, or may work.
 */
const goingOn: readonly CoppiceError['code'][] = [
  'provider-failed',
  'provider-limited',
  'model-not-found',
  'context-exceeded',
];
export const goesOn = ({ code }: CoppiceError): boolean => goingOn.includes(code);

/**
 * Reports whether the error comes from a budget. The budget has too little left, or the price of the model is unknown.
 */
export const isOfBudget = ({ details }: CoppiceError): boolean => details?.['budget'] !== undefined;

/** Returns true if the provider keeps failing, so that a further attempt would get the same error. */
export const isFailing = ({ details }: CoppiceError): boolean => details?.['failing'] === true;

/** A provider and model that may answer one call, with the state of the call's attempts there. */
export class Candidate {
  readonly route: Route;
  /** Null for a provider without health tracking, such as one that plays a script. */
  readonly #health: Health | null;
  readonly #retry: RetrySettings;
  readonly #caller: Caller;
  #attempts = 0;
  #notBeforeMs = 0;
  /** Time of the first refusal by a budget. */
  #refusedAtMs: number | null = null;
  #error: CoppiceError | null = null;
  #dropped = false;

  constructor(route: Route, { health, retry }: { health: Health; retry: RetrySettings }, caller: Caller) {
    this.route = route;
    this.#caller = caller;
    this.#health = route.provider.wire === null ? null : health;
    this.#retry = retry;
  }

  get name(): string {
    return `${this.route.provider.name}/${this.route.model}`;
  }

  /** Number of this call's failed attempts at this candidate. */
  get attempts(): number {
    return this.#attempts;
  }

  get isDropped(): boolean {
    return this.#dropped;
  }

  get error(): CoppiceError | null {
    return this.#error;
  }

  /** Returns the milliseconds until the candidate may be tried. 0 or less means now. */
  waitMs(nowMs: number): number {
    const admission = this.#look();
    return Math.max(this.#notBeforeMs - nowMs, admission.admitted ? 0 : admission.forMs);
  }

  /** Returns a permit for an attempt; null if the candidate may not be tried now. */
  admit(): Permit | null {
    if (this.#health === null) return freePermit;
    const place = { provider: this.route.provider.name, model: this.route.model };
    const admission = this.#health.admit(place, this.#caller);
    return 'permit' in admission ? admission.permit : null;
  }

  /** Records that the provider accepts no requests for this time. */
  coolDown(forMs: number): void {
    this.#health?.coolDown({ provider: this.route.provider.name, model: this.route.model }, forMs);
  }

  failed(error: CoppiceError, nowMs: number): void {
    this.#attempts++;
    this.#error = error;
    const pauseMs = pauseBeforeRetry(error, this.#attempts, this.#retry);
    if (pauseMs === null) this.drop(this.#attempts > 1 ? withFailing(error) : error);
    else this.#notBeforeMs = nowMs + pauseMs;
  }

  /**
   * Records that a budget has too little left. The candidate then waits for the time that the error states. If the
   * error states no time, or `budgetWaitMsMax` has passed since the first refusal, the call drops the candidate.
   */
  refused(error: CoppiceError, nowMs: number, budgetWaitMsMax: number): void {
    this.#refusedAtMs ??= nowMs;
    const waitMs = statedWaitMs(error);
    if (waitMs === null || nowMs - this.#refusedAtMs >= budgetWaitMsMax) return this.drop(error);
    this.#error = error;
    this.#notBeforeMs = nowMs + waitMs;
  }

  /** Excludes the candidate from this call. */
  drop(error: CoppiceError): void {
    this.#error = error;
    this.#dropped = true;
  }

  /**
   * Returns the error that explains why the candidate didn't answer. The error states the time until a retry makes
   * sense, if it is known.
   */
  complaint(nowMs: number): CoppiceError {
    const waitMs = Math.max(0, Math.round(this.waitMs(nowMs)));
    const error = this.#error ?? this.#unavailable(waitMs);
    if (this.#dropped || statedWaitMs(error) !== null || waitMs === 0) return error;
    const admission = this.#look();
    const failing = error.code === 'provider-failed' && !admission.admitted && admission.why === 'failing';
    const details = { ...error.details, retryAfterMs: waitMs, ...(failing ? { failing } : {}) };
    return new CoppiceError(error.code, error.message, { cause: error, details, retryable: true });
  }

  #unavailable(waitMs: number): CoppiceError {
    const admission = this.#look();
    const failing = !admission.admitted && admission.why === 'failing';
    const why = failing ? `it failed again and again${this.#lastWith(admission.last)}` : 'its limits are used up';
    const text = `${this.name} is on cool-down for another ${Math.ceil(waitMs / 1_000)} s: ${why}`;
    // A provider that sent 429 without a wait is limited, too.
    const isLimited = !failing || admission.last?.status === 429;
    return new CoppiceError(isLimited ? 'provider-limited' : 'provider-failed', text, { retryable: true });
  }

  #lastWith(last: LastFailure | null): string {
    if (last === null) return '';
    if (last.tenant === this.#caller.tenant) return `, last with: ${last.message}`;
    return last.status === null ? '' : `, last with: HTTP ${last.status}`;
  }

  #look() {
    const { provider, model } = this.route;
    const place = { provider: provider.name, model };
    return this.#health?.look(place, this.#caller.tenant) ?? ({ admitted: true } as const);
  }
}

/** Adds `failing` to the error of a candidate that has used up the call's retries, unless the error states a wait. */
function withFailing(error: CoppiceError): CoppiceError {
  const { code, message, details, retryable } = error;
  if (code !== 'provider-failed' || !retryable || statedWaitMs(error) !== null) return error;
  return new CoppiceError(code, message, { cause: error, details: { ...details, failing: true }, retryable });
}

const freePermit: Permit = { began: () => {}, ended: () => {} };

/** Builds the error of a call whose candidates have all failed or can't be tried in time. */
export function complaintOf(model: string, candidates: readonly Candidate[], nowMs: number): CoppiceError {
  const complaints = candidates.map((candidate) => candidate.complaint(nowMs));
  const [only] = complaints;
  if (only !== undefined && complaints.length === 1) return only;
  // Errors of budgets matter less, since the call may succeed later or with a smaller request.
  const failed = complaints.filter((complaint) => !isOfBudget(complaint));
  // The user can correct a conversation that is too long, so this error comes first.
  const main = failed.find(({ code }) => code === 'context-exceeded') ?? failed.at(-1);
  const waits = complaints.map(statedWaitMs).filter((each) => each !== null);
  const mayAnswer = complaints.filter(({ retryable }) => retryable);
  const texts = candidates.map(({ name }, index) => {
    const message = complaints[index]?.message ?? '';
    return message.startsWith(name) ? message : `${name}: ${message}`;
  });
  const reports = candidates.map(({ name }, index) => ({ model: name, error: complaints[index]?.code }));
  if (only !== undefined && failed.length === 0) {
    const { code, retryable, details } = complaints.find((complaint) => complaint.retryable) ?? only;
    const text = `${model}: no model is available. ${texts.join('; ')}`;
    return new CoppiceError(code, text, { cause: only, retryable, details: { ...details, candidates: reports } });
  }
  return new CoppiceError(main?.code ?? 'provider-failed', `${model}: no model answered. ${texts.join('; ')}`, {
    cause: main,
    retryable: mayAnswer.length > 0,
    details: {
      ...(mayAnswer.length > 0 && mayAnswer.every(isFailing) ? { failing: true } : {}),
      ...(waits.length === 0 ? {} : { retryAfterMs: Math.min(...waits) }),
      candidates: reports,
    },
  });
}

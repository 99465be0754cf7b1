import { createHash, randomUUID } from 'node:crypto';
import { CoppiceError, buckets } from '@coppice/contracts';
import type { Outcome } from '@coppice/contracts';
import { ClaimLost, RevisionConflict } from './errors.ts';
import type { KeyValue } from './key-value.ts';
import { busLimits } from './limits.ts';
import { untilAnswered } from './until-answered.ts';

/**
 * The record of the process that runs or ran an effect that must not run twice. KV `coppice-effects` has one key per
 * effect.
 *
 * Invariants:
 * 1. A claim changes from absent to started to done, or from absent to cancelled. Only a compare-and-set changes it.
 * 2. A started claim passes to another process only when its owner is lost. The old owner's `finish` then fails.
 * 3. A claim is stored longer than any message that could redeliver its command.
 * 4. A write without an answer is repeated. If the repeated write conflicts, the process reads the claim and recognises
 *    its own earlier write by `attempt`.
 * 5. An owner that other processes may have judged lost rewrites its claim before it continues. If another process has
 *    taken the claim over, this write fails. Otherwise the write changes the claim's revision, so a take-over that is
 *    under way fails.
 */
export type Claim =
  | { state: 'started'; owner: string; inputHash: string; startedAt: string; takenOver: number; attempt?: string }
  | { state: 'done'; inputHash: string; outcome: Outcome; attempt?: string }
  | { state: 'cancelled' };

type Started = Extract<Claim, { state: 'started' }>;

export type ClaimAttempt =
  /** This process holds the claim. `takenOver` is true if a lost process had started the effect. */
  | { status: 'held'; claim: HeldClaim; takenOver: boolean }
  | { status: 'done'; outcome: Outcome }
  | { status: 'cancelled' }
  /** A running process holds the claim. */
  | { status: 'busy'; owner: string };

const ttl = { ttlMs: busLimits.claimTtlMs };

/** Core subject of the message that cancels an effect. The message may be lost. */
export const cancelSubject = (effectId: string): string => `coppice.cancel.${effectId}`;

export const hashInput = (input: unknown): string =>
  createHash('sha256')
    .update(JSON.stringify(input) ?? '')
    .digest('hex');

type Store = Pick<KeyValue, 'get' | 'create' | 'update'>;

export class Claims {
  readonly #claims: Store;
  readonly #isLost: (owner: string, effectId: string) => Promise<boolean>;

  /** @param isLost also returns true if this process is the owner but isn't working on the effect */
  constructor(bus: { keyValue(bucket: string): Store }, isLost: (owner: string, effectId: string) => Promise<boolean>) {
    this.#claims = bus.keyValue(buckets.effects);
    this.#isLost = isLost;
  }

  /**
   * Starts an effect, or takes it over from a lost process. Retries while the server doesn't answer.
   * @throws CoppiceError `already-exists` when the effect was started with another input
   * @throws the signal's reason
   */
  begin(effectId: string, owner: string, inputHash: string, signal?: AbortSignal): Promise<ClaimAttempt> {
    const startedAt = new Date().toISOString();
    const started: Started = { state: 'started', owner, inputHash, startedAt, takenOver: 0, attempt: randomUUID() };
    return untilAnswered(() => this.#tryToBegin(effectId, started), signal);
  }

  async #tryToBegin(effectId: string, started: Started): Promise<ClaimAttempt> {
    for (let attempt = 0; attempt < busLimits.claimWritesMax; attempt++) {
      try {
        return this.#held(effectId, await this.#claims.create(effectId, encode(started), ttl), started);
      } catch (error) {
        if (!(error instanceof RevisionConflict)) throw error;
      }
      const found = await this.look(effectId);
      if (found === null) continue;
      const { claim, revision } = found;
      if (claim.state === 'cancelled') return { status: 'cancelled' };
      if (claim.inputHash !== started.inputHash) {
        throw new CoppiceError('already-exists', `effect ${effectId} was ordered before with another input`);
      }
      if (claim.state === 'done') return { status: 'done', outcome: claim.outcome };
      if (claim.attempt === started.attempt) return this.#held(effectId, revision, claim);
      if (!(await this.#isLost(claim.owner, effectId))) {
        return { status: 'busy', owner: claim.owner };
      }
      const taken: Started = { ...started, takenOver: claim.takenOver + 1 };
      try {
        return this.#held(effectId, await this.#claims.update(effectId, encode(taken), revision, ttl), taken);
      } catch (error) {
        if (!(error instanceof RevisionConflict)) throw error;
      }
    }
    throw new CoppiceError('unavailable', `the claim on ${effectId} is contended`);
  }

  #held(effectId: string, revision: number, started: Started): ClaimAttempt {
    const claim = new HeldClaim(this.#claims, { effectId, revision, started });
    return { status: 'held', claim, takenOver: started.takenOver > 0 };
  }

  /**
   * Creates a `cancelled` claim if there is no claim yet, so that a command that arrives later isn't started.
   * @returns the claim that now exists
   */
  async cancel(effectId: string): Promise<Claim> {
    const cancelled: Claim = { state: 'cancelled' };
    try {
      await this.#claims.create(effectId, encode(cancelled), ttl);
      return cancelled;
    } catch (error) {
      if (!(error instanceof RevisionConflict)) throw error;
      return (await this.look(effectId))?.claim ?? cancelled;
    }
  }

  look(effectId: string): Promise<{ claim: Claim; revision: number } | null> {
    return look(this.#claims, effectId);
  }
}

export class HeldClaim {
  readonly #claims: Store;
  readonly #effectId: string;
  readonly #started: Started;
  #revision: number;
  /** Runs the writes of this process one after another, so that none is mistaken for a write of another process. */
  #writing: Promise<void> = Promise.resolve();
  #isFinishing = false;

  constructor(claims: Store, held: { effectId: string; revision: number; started: Started }) {
    this.#claims = claims;
    this.#effectId = held.effectId;
    this.#revision = held.revision;
    this.#started = held.started;
  }

  /**
   * Rewrites the claim (invariant 5). Does nothing after `finish`, since the write would turn a done claim into a
   * started one.
   * @throws ClaimLost
   * @throws the signal's reason
   */
  async writeAgain(signal: AbortSignal): Promise<void> {
    if (this.#isFinishing) return;
    await this.#write(this.#started, signal);
  }

  /**
   * Stores the outcome. Retries while the server doesn't answer, since only this process knows the outcome.
   * @throws ClaimLost, after which this process must not report the outcome
   * @throws the signal's reason
   */
  async finish(outcome: Outcome, signal: AbortSignal): Promise<void> {
    const { inputHash, attempt } = this.#started;
    this.#isFinishing = true;
    await this.#write({ state: 'done', inputHash, outcome, ...(attempt === undefined ? {} : { attempt }) }, signal);
  }

  async #write(claim: Exclude<Claim, { state: 'cancelled' }>, signal: AbortSignal): Promise<void> {
    const writing = this.#writing.then(() => untilAnswered(() => this.#try(claim), signal));
    // This chain only orders the writes. The caller gets the error through `writing`.
    this.#writing = writing.catch(() => {});
    await writing;
  }

  async #try(claim: Exclude<Claim, { state: 'cancelled' }>): Promise<void> {
    for (let attempt = 0; attempt < busLimits.claimWritesMax; attempt++) {
      try {
        this.#revision = await this.#claims.update(this.#effectId, encode(claim), this.#revision, ttl);
        return;
      } catch (error) {
        if (!(error instanceof RevisionConflict)) throw error;
      }
      const found = await look(this.#claims, this.#effectId);
      if (found === null) {
        // The server has lost the claim, because it didn't sync a write to disk or its bucket was restored from a
        // backup. No other process has taken the claim over.
        if (await this.#createAnew(claim)) return;
        continue;
      }
      if (found.claim.state === 'cancelled' || found.claim.attempt !== this.#started.attempt)
        throw new ClaimLost(this.#effectId);
      // The stored claim is an earlier write of this process whose answer didn't arrive.
      this.#revision = found.revision;
      if (found.claim.state === 'done') return;
    }
    throw new CoppiceError('unavailable', `the claim on ${this.#effectId} is contended`);
  }

  /** Returns false when another process created the claim first. */
  async #createAnew(claim: Claim): Promise<boolean> {
    try {
      this.#revision = await this.#claims.create(this.#effectId, encode(claim), ttl);
      return true;
    } catch (error) {
      if (error instanceof RevisionConflict) return false;
      throw error;
    }
  }
}

async function look(claims: Store, effectId: string): Promise<{ claim: Claim; revision: number } | null> {
  const entry = await claims.get(effectId);
  if (entry === null) return null;
  return { claim: JSON.parse(new TextDecoder().decode(entry.value)) as Claim, revision: entry.revision };
}

const encode = (claim: Claim): Uint8Array => new TextEncoder().encode(JSON.stringify(claim));

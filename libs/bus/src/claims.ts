import { createHash } from 'node:crypto';
import { CoppiceError, buckets } from '@coppice/contracts';
import type { Outcome } from '@coppice/contracts';
import type { Bus } from './bus.ts';
import { RevisionConflict } from './errors.ts';
import type { KeyValue } from './key-value.ts';
import { busLimits } from './limits.ts';

/**
 * Who does, or did, an effect that must not be done twice: KV `coppice-effects`, one key an effect.
 *
 * Invariants:
 * 1. A claim goes absent → started → done, or absent → cancelled. Only a compare-and-set moves it.
 * 2. A started claim changes hands only when its owner is lost; then the old owner's `finish` fails.
 * 3. A claim outlives every message that could bring its command back.
 */
export type Claim =
  | { state: 'started'; owner: string; inputHash: string; startedAt: string; takenOver: number }
  | { state: 'done'; inputHash: string; outcome: Outcome }
  | { state: 'cancelled' };

export type ClaimAttempt =
  /** Ours now. `takenOver` when a lost owner had begun. */
  | { status: 'held'; revision: number; takenOver: boolean }
  | { status: 'done'; outcome: Outcome }
  | { status: 'cancelled' }
  /** A living process is at it. */
  | { status: 'busy'; owner: string };

const ttl = { ttlMs: busLimits.claimTtlMs };

/** Core subject on which the cancellation of an effect is told to whoever is at it; best effort. */
export const cancelSubject = (effectId: string): string => `coppice.cancel.${effectId}`;

export const hashInput = (input: unknown): string =>
  createHash('sha256')
    .update(JSON.stringify(input) ?? '')
    .digest('hex');

export class Claims {
  readonly #claims: KeyValue;
  readonly #isLost: (owner: string, effectId: string) => Promise<boolean>;

  /** @param isLost whether an owner's process is gone; an owner that is this process itself and not at work on it is lost too. */
  constructor(bus: Bus, isLost: (owner: string, effectId: string) => Promise<boolean>) {
    this.#claims = bus.keyValue(buckets.effects);
    this.#isLost = isLost;
  }

  /** @throws CoppiceError `already-exists` when the effect was begun with another input. */
  async begin(effectId: string, owner: string, inputHash: string): Promise<ClaimAttempt> {
    for (let attempt = 0; attempt < busLimits.claimWritesMax; attempt++) {
      const started: Claim = { state: 'started', owner, inputHash, startedAt: new Date().toISOString(), takenOver: 0 };
      try {
        return {
          status: 'held',
          revision: await this.#claims.create(effectId, encode(started), ttl),
          takenOver: false,
        };
      } catch (error) {
        if (!(error instanceof RevisionConflict)) throw error;
      }
      const found = await this.look(effectId);
      if (found === null) continue;
      const { claim, revision } = found;
      if (claim.state === 'cancelled') return { status: 'cancelled' };
      if (claim.inputHash !== inputHash) {
        throw new CoppiceError('already-exists', `effect ${effectId} was ordered before with another input`);
      }
      if (claim.state === 'done') return { status: 'done', outcome: claim.outcome };
      if (!(await this.#isLost(claim.owner, effectId))) {
        return { status: 'busy', owner: claim.owner };
      }
      const taken: Claim = { ...started, takenOver: claim.takenOver + 1 };
      try {
        return {
          status: 'held',
          revision: await this.#claims.update(effectId, encode(taken), revision, ttl),
          takenOver: true,
        };
      } catch (error) {
        if (!(error instanceof RevisionConflict)) throw error;
      }
    }
    throw new CoppiceError('unavailable', `the claim on ${effectId} is contended`);
  }

  /** @throws RevisionConflict when another owner has taken the claim over: the outcome is then not ours to tell. */
  async finish(effectId: string, revision: number, inputHash: string, outcome: Outcome): Promise<void> {
    await this.#claims.update(effectId, encode({ state: 'done', inputHash, outcome }), revision, ttl);
  }

  /** Makes a claim that is not there yet `cancelled`, so that a late command finds it. Answers what is there then. */
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

  async look(effectId: string): Promise<{ claim: Claim; revision: number } | null> {
    const entry = await this.#claims.get(effectId);
    if (entry === null) return null;
    return { claim: JSON.parse(new TextDecoder().decode(entry.value)) as Claim, revision: entry.revision };
  }
}

const encode = (claim: Claim): Uint8Array => new TextEncoder().encode(JSON.stringify(claim));

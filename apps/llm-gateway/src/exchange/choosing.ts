/**
 * Who is asked next for one call: of its candidates that may be asked now the first that was asked least often; else the one that may be soonest, waited for.
 *
 * Collaborators: candidates.ts, in order; the queues; the health, by way of the candidates.
 *
 * Invariants:
 * 1. A place in a provider's queue is held only from the choice to the attempt's end.
 * 2. Nobody is waited for beyond the call's patience or its end, and a signal that is aborted ends every wait.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { CoppiceError } from '@coppice/contracts';
import type { Owner } from '@coppice/contracts';
import { complaintOf } from './candidate.ts';
import type { Candidate } from './candidate.ts';
import type { Release } from './fair-queue.ts';
import type { Permit } from './health.ts';
import { exchangeLimits } from './limits.ts';
import type { Queues } from './queues.ts';

export type Choice = {
  candidate: Candidate;
  permit: Permit;
  release: Release;
  /** How long the provider's queue was waited in. */
  queuedMs: number;
};

export type ChoosingSettings = {
  /** As the caller named it. */
  model: string;
  candidates: readonly Candidate[];
  queues: Queues;
  owner: Owner;
  signal: AbortSignal;
  /** As `performance.now()` counts. */
  endsAtMs: number;
  /** How long it is waited, each time, for a candidate that may not be asked now. */
  patienceMs: number;
  random: () => number;
};

export class Choosing {
  readonly #settings: ChoosingSettings;

  constructor(settings: ChoosingSettings) {
    this.#settings = settings;
  }

  /** @throws CoppiceError where there is nobody left to ask in time; the signal's reason. */
  async next(): Promise<Choice> {
    const { model, candidates, signal, endsAtMs, patienceMs } = this.#settings;
    for (;;) {
      signal.throwIfAborted();
      const nowMs = performance.now();
      let ready: Candidate | null = null;
      let waitMs = Number.POSITIVE_INFINITY;
      for (const candidate of candidates) {
        if (candidate.isDropped) continue;
        const ownWaitMs = candidate.waitMs(nowMs);
        waitMs = Math.min(waitMs, ownWaitMs);
        // The order decides between those that were asked as often: nobody is asked again before all were asked.
        if (ownWaitMs <= 0 && (ready === null || candidate.attempts < ready.attempts)) ready = candidate;
      }
      if (ready === null) {
        if (waitMs > patienceMs || nowMs + waitMs >= endsAtMs) throw complaintOf(model, candidates, nowMs);
        await this.#wait(waitMs);
        continue;
      }
      const choice = await this.#take(ready);
      if (choice !== null) return choice;
    }
  }

  /** Null where it may not be asked after all: too many wait, or it failed while this call waited. */
  async #take(candidate: Candidate): Promise<Choice | null> {
    const { queues, owner, signal } = this.#settings;
    const startedAtMs = performance.now();
    let release: Release;
    try {
      release = await queues.of(candidate.route.provider.name).enter(owner, signal);
    } catch (error) {
      if (signal.aborted || !(error instanceof CoppiceError)) throw error;
      candidate.drop(error);
      return null;
    }
    const permit = candidate.admit();
    if (permit !== null) return { candidate, permit, release, queuedMs: performance.now() - startedAtMs };
    release();
    return null;
  }

  /** A little longer, so that not all come back at the same moment. */
  async #wait(waitMs: number): Promise<void> {
    const { signal, random } = this.#settings;
    const jitterMs = Math.min(waitMs * exchangeLimits.jitterPart, exchangeLimits.jitterMsMax) * random();
    // An abort ends the wait; who chooses next looks at the signal.
    await sleep(waitMs + jitterMs, undefined, { signal }).catch(() => {});
  }
}

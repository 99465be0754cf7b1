/**
 * Chooses the next candidate of one call. Of the candidates that may be tried now, it takes the first with the fewest
 * attempts. If there are none, it waits until one may be tried.
 *
 * Collaborators: the candidates, in order; the providers' queues; the providers' health, through the candidates.
 *
 * Invariants:
 * 1. A call has a slot at a provider only from the choice of the candidate to the end of the attempt.
 * 2. The wait until a candidate may be tried is at most `candidateWaitMsMax` plus jitter. No wait begins that would end
 * after the call's deadline.
 * 3. An aborted signal ends every wait, also in a queue.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { CoppiceError } from '@coppice/contracts';
import type { Owner } from '@coppice/contracts';
import type { Release } from '@coppice/service';
import { complaintOf } from './candidate.ts';
import type { Candidate } from './candidate.ts';
import type { Permit } from './health.ts';
import { exchangeLimits } from './limits.ts';
import type { Queues } from './queues.ts';

export type Choice = {
  candidate: Candidate;
  permit: Permit;
  release: Release;
  queuedMs: number;
};

export type ChoosingSettings = {
  /** Model name from the caller's request. */
  model: string;
  candidates: readonly Candidate[];
  queues: Queues;
  owner: Owner;
  signal: AbortSignal;
  /** Deadline of the call, on the clock of `performance.now()`. */
  endsAtMs: number;
  /** Longest single wait until a candidate may be tried, in milliseconds. */
  candidateWaitMsMax: number;
  random: () => number;
};

export class Choosing {
  readonly #settings: ChoosingSettings;

  constructor(settings: ChoosingSettings) {
    this.#settings = settings;
  }

  /** @throws CoppiceError if no candidate can be tried in time, or the signal's reason. */
  async next(): Promise<Choice> {
    const { model, candidates, signal, endsAtMs, candidateWaitMsMax } = this.#settings;
    for (;;) {
      signal.throwIfAborted();
      const nowMs = performance.now();
      let ready: Candidate | null = null;
      let waitMs = Number.POSITIVE_INFINITY;
      for (const candidate of candidates) {
        if (candidate.isDropped) continue;
        const ownWaitMs = candidate.waitMs(nowMs);
        waitMs = Math.min(waitMs, ownWaitMs);
        // Each candidate gets its first attempt before any gets its second.
        if (ownWaitMs <= 0 && (ready === null || candidate.attempts < ready.attempts)) ready = candidate;
      }
      if (ready === null) {
        if (waitMs > candidateWaitMsMax || nowMs + waitMs >= endsAtMs) throw complaintOf(model, candidates, nowMs);
        await this.#wait(waitMs);
        continue;
      }
      const choice = await this.#take(ready);
      if (choice !== null) return choice;
    }
  }

  /**
   * Returns null if the candidate can't be tried after all, since its queue is full or it failed while this call
   * waited.
   */
  async #take(candidate: Candidate): Promise<Choice | null> {
    const { queues, owner, signal } = this.#settings;
    const startedAtMs = performance.now();
    let release: Release;
    try {
      release = await queues
        .of(candidate.route.provider.name)
        .enter({ group: owner.tenant, line: owner.taskId, signal });
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

  /** Waits a little longer than `waitMs`, so that waiting calls don't all continue at the same moment. */
  async #wait(waitMs: number): Promise<void> {
    const { signal, random } = this.#settings;
    const jitterMs = Math.min(waitMs * exchangeLimits.jitterPart, exchangeLimits.jitterMsMax) * random();
    // An abort's error is ignored here, since `next` checks the signal.
    await sleep(waitMs + jitterMs, undefined, { signal }).catch(() => {});
  }
}

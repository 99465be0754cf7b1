import { FairQueue } from './fair-queue.ts';
import { exchangeLimits } from './limits.ts';

export type QueuesSettings = {
  /** Concurrent calls by provider; default `exchangeLimits.concurrency`. */
  concurrencyOf: (provider: string) => number | null;
  waitingMax?: number;
};

/** Queues by provider. */
export class Queues {
  readonly #settings: QueuesSettings;
  readonly #queues = new Map<string, FairQueue>();

  constructor(settings: QueuesSettings) {
    this.#settings = settings;
  }

  of(provider: string): FairQueue {
    const { concurrencyOf, waitingMax = exchangeLimits.waitingMax } = this.#settings;
    const queue =
      this.#queues.get(provider) ??
      new FairQueue({ name: provider, concurrency: concurrencyOf(provider) ?? exchangeLimits.concurrency, waitingMax });
    this.#queues.set(provider, queue);
    return queue;
  }

  all(): [provider: string, queue: FairQueue][] {
    return [...this.#queues];
  }
}

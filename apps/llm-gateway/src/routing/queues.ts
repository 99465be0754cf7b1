import { CoppiceError } from '@coppice/contracts';
import { Admission } from '@coppice/service';
import { exchangeLimits } from './limits.ts';

export type QueuesSettings = {
  /** Concurrent calls by provider; default `exchangeLimits.concurrency`. */
  concurrencyOf: (provider: string) => number | null;
  waitingMax?: number;
};

/** Places for calls, by provider. Tenants take turns, and so do the tasks of a tenant. */
export class Queues {
  readonly #settings: QueuesSettings;
  readonly #queues = new Map<string, Admission>();

  constructor(settings: QueuesSettings) {
    this.#settings = settings;
  }

  /** A claim for a place is rejected with `provider-limited` if `waitingMax` others wait. */
  of(provider: string): Admission {
    const { concurrencyOf, waitingMax = exchangeLimits.waitingMax } = this.#settings;
    const known = this.#queues.get(provider);
    if (known !== undefined) return known;
    const total = concurrencyOf(provider) ?? exchangeLimits.concurrency;
    const text = `${total} calls are at ${provider} and ${waitingMax} more wait, which is the limit`;
    const queue = new Admission({ total, waitingMax, refusal: () => new CoppiceError('provider-limited', text) });
    this.#queues.set(provider, queue);
    return queue;
  }

  all(): [provider: string, queue: Admission][] {
    return [...this.#queues];
  }
}

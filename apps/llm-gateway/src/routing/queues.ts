import { CoppiceError } from '@coppice/contracts';
import { Admission } from '@coppice/service';
import { exchangeLimits } from './limits.ts';

export type QueuesSettings = {
  /** Returns the maximum number of concurrent calls at a provider, or null for `exchangeLimits.concurrency`. */
  concurrencyOf: (provider: string) => number | null;
  waitingMax?: number;
};

/**
 * The slots for concurrent calls at each provider. Free slots are assigned fairly among tenants, and among the tasks of
 * a tenant.
 */
export class Queues {
  readonly #settings: QueuesSettings;
  readonly #queues = new Map<string, Admission>();

  constructor(settings: QueuesSettings) {
    this.#settings = settings;
  }

  /**
   * Returns the provider's slots. If `waitingMax` calls wait for a slot, a further call is rejected with
   * `provider-limited`.
   */
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

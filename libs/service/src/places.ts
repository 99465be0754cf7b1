import { CoppiceError } from '@coppice/contracts';

type PlacesOptions = {
  /** Places of all tenants together, and of one tenant. */
  total: number;
  perTenant: number;
  /** Requests of one tenant that may wait for a place. */
  waitingPerTenantMax: number;
  /** Waiting requests are rejected when none of the tenant's places became free in this time, in milliseconds. */
  stuckAfterMs: number;
};

type Waiter = { start: () => void; refuse: () => void };
type Tenant = { held: number; waiting: Set<Waiter>; freedAtMs: number };

/**
 * Limits concurrent work in total and per tenant, so that slow work of one tenant leaves places for others.
 *
 * Invariants:
 * 1. A free place goes to the waiting tenant that holds the fewest places.
 * 2. A rejected request held no place and has started no work.
 */
export class Places {
  readonly #options: PlacesOptions;
  readonly #tenants = new Map<string, Tenant>();
  #held = 0;

  constructor(options: PlacesOptions) {
    this.#options = options;
  }

  /** Runs work in a place. Throws `unavailable` if no place becomes free. */
  async within<T>(name: string, work: () => Promise<T>): Promise<T> {
    await this.#take(name);
    try {
      return await work();
    } finally {
      this.#free(name);
    }
  }

  #take(name: string): Promise<void> {
    const tenant = this.#tenants.get(name) ?? { held: 0, waiting: new Set(), freedAtMs: performance.now() };
    this.#tenants.set(name, tenant);
    if (this.#mayStart(tenant)) {
      this.#start(tenant);
      return Promise.resolve();
    }
    return this.#wait(tenant, name);
  }

  #mayStart(tenant: Tenant): boolean {
    return this.#held < this.#options.total && tenant.held < this.#options.perTenant;
  }

  #start(tenant: Tenant): void {
    if (tenant.held === 0) tenant.freedAtMs = performance.now();
    tenant.held++;
    this.#held++;
  }

  #wait(tenant: Tenant, name: string): Promise<void> {
    const { waitingPerTenantMax, stuckAfterMs } = this.#options;
    const busy = new CoppiceError('unavailable', `too much of tenant ${name} is under way here: try again later`);
    const leftMs = () => stuckAfterMs - (performance.now() - tenant.freedAtMs);
    if (tenant.waiting.size >= waitingPerTenantMax || leftMs() <= 0) {
      this.#forgetIdle(name, tenant);
      return Promise.reject(busy);
    }
    return new Promise((resolve, reject) => {
      let timer: NodeJS.Timeout;
      const waiter: Waiter = {
        start: () => {
          clearTimeout(timer);
          tenant.waiting.delete(waiter);
          this.#start(tenant);
          resolve();
        },
        refuse: () => {
          if (leftMs() > 0) {
            timer = setTimeout(waiter.refuse, leftMs());
            return;
          }
          tenant.waiting.delete(waiter);
          this.#forgetIdle(name, tenant);
          reject(busy);
        },
      };
      tenant.waiting.add(waiter);
      timer = setTimeout(waiter.refuse, leftMs());
    });
  }

  #free(name: string): void {
    const tenant = this.#tenants.get(name);
    if (tenant === undefined) return;
    tenant.held--;
    this.#held--;
    tenant.freedAtMs = performance.now();
    this.#forgetIdle(name, tenant);
    const next = [...this.#tenants.values()]
      .filter((each) => each.waiting.size > 0 && this.#mayStart(each))
      .toSorted((one, other) => one.held - other.held)[0];
    const [first] = next?.waiting ?? [];
    first?.start();
  }

  /** Deletes the state of an idle tenant, so that its next request waits as long as a new tenant's: an earlier wait caused by other tenants must not count. */
  #forgetIdle(name: string, tenant: Tenant): void {
    if (tenant.held === 0 && tenant.waiting.size === 0) this.#tenants.delete(name);
  }
}

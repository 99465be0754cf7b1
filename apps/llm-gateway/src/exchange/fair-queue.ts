/**
 * How many calls are at one provider at once, and in which order the others follow.
 *
 * Invariants:
 * 1. No more than `concurrency` places are taken. A place that becomes free goes to who waits, never to a newcomer.
 * 2. Tenants take turns, whatever each of them asks for; of a tenant, its tasks take turns; of a task, who came first is first.
 * 3. No more than `waitingMax` wait. Who leaves while waiting frees that place at once.
 */
import { CoppiceError } from '@coppice/contracts';
import type { Owner } from '@coppice/contracts';

export type FairQueueSettings = { name: string; concurrency: number; waitingMax: number };

/** To be called once. */
export type Release = () => void;

type Waiting = { enter: () => void };

export class FairQueue {
  readonly #settings: FairQueueSettings;
  /** By tenant, by task; of each the first is next. None of them is empty. */
  readonly #tenants = new Map<string, Map<string, Set<Waiting>>>();
  #taken = 0;
  #waiting = 0;

  constructor(settings: FairQueueSettings) {
    this.#settings = settings;
  }

  get taken(): number {
    return this.#taken;
  }

  get waiting(): number {
    return this.#waiting;
  }

  /** Waits for a place. @throws CoppiceError `provider-limited` where too many wait already; the signal's reason. */
  async enter({ tenant, taskId }: Pick<Owner, 'tenant' | 'taskId'>, signal: AbortSignal): Promise<Release> {
    signal.throwIfAborted();
    const { name, concurrency, waitingMax } = this.#settings;
    if (this.#taken < concurrency) {
      this.#taken++;
      return this.#release();
    }
    if (this.#waiting >= waitingMax) {
      const text = `${concurrency} calls are at ${name} and ${waitingMax} more wait, which is the limit`;
      throw new CoppiceError('provider-limited', text);
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiting = { enter: resolve };
    const leave = () => {
      this.#remove(tenant, taskId, waiting);
      reject(signal.reason as Error);
    };
    this.#add(tenant, taskId, waiting);
    signal.addEventListener('abort', leave, { once: true });
    try {
      await promise;
    } finally {
      signal.removeEventListener('abort', leave);
    }
    return this.#release();
  }

  #release(): Release {
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      const next = this.#next();
      if (next === undefined) this.#taken--;
      else next.enter();
    };
  }

  #add(tenant: string, taskId: string, waiting: Waiting): void {
    const tasks = this.#tenants.get(tenant) ?? new Map<string, Set<Waiting>>();
    const line = tasks.get(taskId) ?? new Set<Waiting>();
    line.add(waiting);
    tasks.set(taskId, line);
    this.#tenants.set(tenant, tasks);
    this.#waiting++;
  }

  #remove(tenant: string, taskId: string, waiting: Waiting): void {
    const tasks = this.#tenants.get(tenant);
    const line = tasks?.get(taskId);
    if (tasks === undefined || line === undefined || !line.delete(waiting)) return;
    this.#waiting--;
    if (line.size === 0) tasks.delete(taskId);
    if (tasks.size === 0) this.#tenants.delete(tenant);
  }

  /** Who has waited longest of the task, and tenant, whose turn it is; these then go to the end. */
  #next(): Waiting | undefined {
    for (const [tenant, tasks] of this.#tenants) {
      for (const [taskId, line] of tasks) {
        for (const waiting of line) {
          this.#remove(tenant, taskId, waiting);
          if (line.size > 0) toTheEnd(tasks, taskId, line);
          if (tasks.size > 0) toTheEnd(this.#tenants, tenant, tasks);
          return waiting;
        }
      }
    }
    return undefined;
  }
}

/** A map is in the order in which its keys were added. */
function toTheEnd<Value>(map: Map<string, Value>, key: string, value: Value): void {
  map.delete(key);
  map.set(key, value);
}

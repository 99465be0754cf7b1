/**
 * Limits the concurrent calls at one provider, and orders the waiting ones.
 *
 * Invariants:
 * 1. At most `concurrency` places are taken. A free place goes to a waiting call, never to a newcomer.
 * 2. Tenants take turns, whatever the number of their calls. Within a tenant, tasks take turns; within a task, calls are first in, first out.
 * 3. At most `waitingMax` calls wait. A call that leaves while waiting frees its place at once.
 */
import { CoppiceError } from '@coppice/contracts';
import type { Owner } from '@coppice/contracts';

export type FairQueueSettings = { name: string; concurrency: number; waitingMax: number };

/** Called once, when the call ends. */
export type Release = () => void;

type Waiting = { enter: () => void };

export class FairQueue {
  readonly #settings: FairQueueSettings;
  /** Waiting calls by tenant and task, oldest first. No map or set is empty. */
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

  /** Waits for a place. @throws CoppiceError `provider-limited` if too many calls wait already; the signal's reason. */
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

  /** Removes and returns the oldest waiting call of the next tenant's next task. Both then move to the end. */
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

/** A map iterates its keys in insertion order. */
function toTheEnd<Value>(map: Map<string, Value>, key: string, value: Value): void {
  map.delete(key);
  map.set(key, value);
}

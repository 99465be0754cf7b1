import { randomBytes } from 'node:crypto';
import { buckets } from '@coppice/contracts';
import { createLogger } from '@coppice/telemetry';
import { z } from 'zod';
import type { Bus } from './bus.ts';
import { elapsedMs } from './elapsed-time.ts';
import type { KeyValue } from './key-value.ts';
import { Lease } from './lease.ts';
import { LostOwners } from './lost-owners.ts';
import { keyValueStream } from './resources.ts';

/**
 * The running processes. Each has a key in KV `coppice-members` that expires after `lostAfterMs`. A process refreshes
 * its key three times in that time, and at once after a reconnect.
 *
 * Collaborators: lease.ts tracks this process's own key. lost-owners.ts tracks the keys of other processes.
 *
 * Invariants:
 * 1. A member's id is never reused. A process that is restarted is a new member.
 * 2. Only invariant 1 of lost-owners.ts makes a process lost. A missing key isn't enough, since the server may have
 *    been unreachable or this process may have been suspended.
 */
export type Membership = {
  /** Id as one subject token: `<service>-<node>-<random>`. */
  id: string;
  /** Returns true if the member's key exists now. */
  isMember(id: string): Promise<boolean>;
  /** Returns true if this process considers the member lost. @throws when the server doesn't answer */
  isLost(id: string): Promise<boolean>;
  /** Resolves when this process's own key certainly exists. @throws the signal's reason */
  listed(signal?: AbortSignal): Promise<void>;
  /**
   * Number of times that other processes may have judged this process lost. A claim that was written in an earlier
   * epoch must be confirmed again.
   */
  epoch(): number;
  /** Calls the handler when this process is listed again after other processes may have judged it lost. */
  onReturn(handler: () => void): void;
  /**
   * Start, by `elapsedMs()`, of the current period in which this process was connected, running and listed without
   * interruption. Null during an interruption.
   */
  soundSince(): number | null;
  leave(): Promise<void>;
};

const memberSchema = z.object({ service: z.string(), node: z.string() });
export type Member = z.infer<typeof memberSchema>;

const log = createLogger('bus');
const refreshesInLifetime = 3;

export async function joinMembers(bus: Bus, options: { service: string; node: string }): Promise<Membership> {
  const member = new RunningMember(bus, options);
  await member.join();
  return member;
}

class RunningMember implements Membership {
  readonly id: string;
  readonly #bus: Bus;
  readonly #members: KeyValue;
  readonly #value: Uint8Array;
  readonly #lease: Lease;
  readonly #lost: LostOwners;
  readonly #returned: (() => void)[] = [];
  #waiting = Promise.withResolvers<void>();
  #timer: NodeJS.Timeout | null = null;
  #refreshing: Promise<void> = Promise.resolve();
  #seenEpoch = 0;
  #hasLeft = false;

  constructor(bus: Bus, { service, node }: { service: string; node: string }) {
    this.#bus = bus;
    this.id = `${service}-${node}-${randomBytes(6).toString('hex')}`;
    this.#members = bus.keyValue(buckets.members);
    const about = { service, node, pid: process.pid, startedAt: new Date().toISOString() };
    this.#value = new TextEncoder().encode(JSON.stringify(about));
    const { lostAfterMs } = bus;
    this.#lease = new Lease(lostAfterMs);
    const look = (id: string) => this.#members.sight(id);
    this.#lost = new LostOwners({ lease: this.#lease, lostAfterMs, look, now: elapsedMs });
  }

  async join(): Promise<void> {
    await this.#refresh();
    this.#timer = setInterval(() => this.#beat(), this.#bus.lostAfterMs / refreshesInLifetime);
    this.#bus.onLoss(() => this.#lease.interrupt(elapsedMs()));
    this.#bus.onReconnect(() => this.#beat());
  }

  async isMember(id: string): Promise<boolean> {
    return (await this.#members.get(id)) !== null;
  }

  isLost(id: string): Promise<boolean> {
    return this.#lost.isLost(id);
  }

  async listed(signal?: AbortSignal): Promise<void> {
    while (!this.#lease.isValid(elapsedMs())) {
      signal?.throwIfAborted();
      const aborted = Promise.withResolvers<void>();
      const end = () => aborted.resolve();
      signal?.addEventListener('abort', end, { once: true });
      await Promise.race([this.#waiting.promise, aborted.promise]);
      signal?.removeEventListener('abort', end);
    }
  }

  epoch(): number {
    return this.#lease.epoch(elapsedMs());
  }

  onReturn(handler: () => void): void {
    this.#returned.push(handler);
  }

  soundSince(): number | null {
    return this.#lease.soundSince(elapsedMs());
  }

  async leave(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#hasLeft = true;
    // A refresh that is stored after the deletion would list this process again.
    await this.#refreshing;
    await this.#members.delete(this.id);
  }

  #beat(): void {
    if (this.#hasLeft) return;
    this.#lease.tick(elapsedMs());
    // Without a connection the client drops the message. A reconnect triggers a refresh.
    if (!this.#bus.isConnected) return;
    const refreshing = this.#refresh().catch((error: unknown) => log.warn({ err: error }, 'membership not refreshed'));
    this.#refreshing = Promise.all([this.#refreshing, refreshing]).then(() => {});
  }

  async #refresh(): Promise<void> {
    const sentAtMs = elapsedMs();
    await this.#members.put(this.id, this.#value, { ttlMs: this.#bus.lostAfterMs });
    this.#lease.confirm(sentAtMs, elapsedMs());
    if (!this.#lease.isValid(elapsedMs())) return;
    this.#waiting.resolve();
    this.#waiting = Promise.withResolvers();
    const epoch = this.epoch();
    if (epoch !== this.#seenEpoch) {
      this.#seenEpoch = epoch;
      for (const handler of this.#returned) handler();
    }
    void this.#lost.lookAgain();
  }
}

export async function listMembers(bus: Bus): Promise<Member[]> {
  const members: Member[] = [];
  for await (const message of bus.browse(keyValueStream(buckets.members), `$KV.${buckets.members}.>`)) {
    // Skips messages that mark a key as deleted or expired.
    if ('KV-Operation' in message.headers || 'Nats-Marker-Reason' in message.headers) continue;
    members.push(memberSchema.parse(message.json()));
  }
  return members;
}

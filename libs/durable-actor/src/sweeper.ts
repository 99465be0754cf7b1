import { setTimeout as sleep } from 'node:timers/promises';
import { RevisionConflict } from '@coppice/bus';
import { subjects } from '@coppice/contracts';
import { CensusTaker } from './census.ts';
import type { ActorDefinition } from './definition.ts';
import type { HostParts } from './host-parts.ts';
import { mayUnpark } from './park.ts';
import { decodeStored } from './value.ts';
import type { StoredActor } from './value.ts';

/**
 * Walks over all actors, wakes each actor that missed a message, and counts the actors.
 *
 * Invariant 5: if a timer's message is lost, the sweeper wakes the actor soon after the timer's stored time.
 * Invariant 8: the sweeper wakes a parked actor if this host's machine differs in version or structure from the machine
 * that parked the actor. It also wakes an unparked actor whose stash may not be back in the inbox yet.
 *
 * The sweeper ignores unpublished outboxes, since the message that caused an outbox stays in the inbox until the outbox
 * is published. A lease, taken by compare-and-set, allows one host at a time to walk. If two hosts walked at once,
 * actors would be woken twice, which does no harm.
 */
export class Sweeper {
  readonly #parts: HostParts;
  readonly #definitions: ReadonlyMap<string, ActorDefinition>;
  readonly #owner: string;
  readonly #stopping = new AbortController();
  #walking: Promise<void> = Promise.resolve();
  /** Keys of finished actors. The sweeper doesn't read these actors again. */
  readonly #done = new Set<string>();
  #doneSinceMs = Date.now();

  constructor(parts: HostParts, definitions: ReadonlyMap<string, ActorDefinition>, owner: string) {
    this.#parts = parts;
    this.#definitions = definitions;
    this.#owner = owner;
  }

  start(): void {
    this.#walking = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#walking;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      await sleep(this.#parts.limits.sweepIntervalMs, undefined, { signal }).catch(() => {});
      if (signal.aborted) return;
      try {
        if (await this.#lease()) await this.walk();
      } catch (error) {
        this.#parts.log.warn({ err: error }, 'sweep not finished');
      }
    }
  }

  async walk(): Promise<void> {
    this.#forgetOldTombstones();
    const pauseMs = 1_000 / this.#parts.limits.sweepReadsPerSecond;
    let leasedUntilMs = Date.now() + this.#parts.limits.sweepLeaseMs / 2;
    const census = new CensusTaker();
    for (const definition of this.#definitions.values()) {
      for await (const key of this.#parts.actors.keys(`${definition.kind}.>`)) {
        if (this.#stopping.signal.aborted) return;
        if (this.#done.has(key)) continue;
        await this.#look(definition, key, census);
        await sleep(pauseMs);
        if (Date.now() > leasedUntilMs) {
          if (!(await this.#lease())) return;
          leasedUntilMs = Date.now() + this.#parts.limits.sweepLeaseMs / 2;
        }
      }
    }
    this.#parts.onCensus(census.result());
  }

  #forgetOldTombstones(): void {
    const { rememberedTombstonesMax, rememberedTombstonesMs } = this.#parts.limits;
    if (this.#done.size <= rememberedTombstonesMax && Date.now() - this.#doneSinceMs <= rememberedTombstonesMs) return;
    this.#done.clear();
    this.#doneSinceMs = Date.now();
  }

  async #look(definition: ActorDefinition, key: string, census: CensusTaker): Promise<void> {
    const { actors, bus, nowMs, limits, reach, log } = this.#parts;
    const entry = await actors.get(key);
    if (entry === null) return;
    const stored = readable(entry.value);
    if (stored !== null) census.add(definition.kind, stored);
    const look = lookAt(definition, stored, nowMs(), limits.sweepGraceMs);
    if (look === 'done') this.#done.add(key);
    if (look !== 'wake') return;
    const id = key.slice(definition.kind.length + 1);
    // The server drops a message whose id repeats within the dedupe window. So an actor is woken once per revision.
    await bus.publish(
      subjects.actor(definition.kind, id),
      { type: 'wake' },
      { messageId: `wake-${key}-${entry.revision}` },
    );
    log.info({ kind: definition.kind, id }, 'actor woken by the sweeper');
    await reach('sweeper-woke');
  }

  /** Takes or renews the lease. @returns true if this host may walk now */
  async #lease(): Promise<boolean> {
    const { actors, limits, reach } = this.#parts;
    const value = new TextEncoder().encode(
      JSON.stringify({ owner: this.#owner, untilMs: Date.now() + limits.sweepLeaseMs }),
    );
    try {
      const entry = await actors.get(leaseKey);
      if (entry === null) await actors.create(leaseKey, value);
      else {
        const lease = JSON.parse(new TextDecoder().decode(entry.value)) as { owner: string; untilMs: number };
        if (lease.owner !== this.#owner && lease.untilMs > Date.now()) return false;
        await actors.update(leaseKey, value, entry.revision);
      }
    } catch (error) {
      if (error instanceof RevisionConflict) return false;
      throw error;
    }
    await reach('sweeper-leased');
    return true;
  }
}

/** Key of the lease. It can't be an actor's key, since those contain a dot. */
const leaseKey = 'sweeper-lease';

type Look = 'wake' | 'leave' | 'done';

/** @param stored null if the value can't be read. The actor is then woken, and the handler of the wake-up parks it. */
function lookAt(definition: ActorDefinition, stored: StoredActor | null, nowMs: number, graceMs: number): Look {
  if (stored === null) return 'wake';
  if (stored.type === 'parked') return mayUnpark(definition, stored.parked) ? 'wake' : 'leave';
  const { inFlight, status, unstash } = stored.value;
  if (status === 'done') return 'done';
  const overdue = Object.values(inFlight).some((effect) => effect.type === 'timer' && effect.atMs + graceMs < nowMs);
  return overdue || unstash === true ? 'wake' : 'leave';
}

function readable(bytes: Uint8Array): StoredActor | null {
  try {
    return decodeStored(bytes);
  } catch {
    return null;
  }
}

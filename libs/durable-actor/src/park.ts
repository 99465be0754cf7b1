import { RevisionConflict } from '@coppice/bus';
import type { Delivery } from '@coppice/bus';
import { streams, subjects } from '@coppice/contracts';
import { resume } from './apply-event.ts';
import type { ActorStore } from './actor-store.ts';
import type { ActorDefinition } from './definition.ts';
import { Unrestorable } from './errors.ts';
import type { ParkCode } from './errors.ts';
import { actorLimits } from './limits.ts';
import type { HostParts } from './host-parts.ts';
import { copiedHeaders } from './message-headers.ts';
import { decodeStored } from './value.ts';
import type { ActorValue, Parked, StoredActor } from './value.ts';

/**
 * Parks actors that can't continue, and unparks them.
 *
 * Invariant 8:
 * - The bytes of a parked actor stay unchanged behind a note with the reason.
 * - The messages of a parked actor are copied to the actor's stash in the order of handling, then acknowledged.
 * - Once a host's machine can restore the actor, the note is removed and the stash is put back into the inbox. Each
 *   message is deleted from the stash after it is stored in the inbox.
 * - The unparked value has the field `unstash` until the next transition is stored. If a process dies before the whole
 *   stash is back, the handler of the actor's next message puts the rest back.
 * - A handler may stash a message while another handler unparks the actor. So each handler reads the value again after
 *   stashing, and replays the stash if the actor isn't parked.
 */
const machineName = ({ version, hash }: { version: number; hash: string }): string => `${version}:${hash}`;

/** Returns true if this machine differs in version or structure from the machine that parked the actor. */
export const mayUnpark = (definition: ActorDefinition, parked: Parked): boolean =>
  parked.by !== machineName(definition);

export class Parking {
  readonly #parts: HostParts;
  readonly #store: ActorStore;

  constructor(parts: HostParts, store: ActorStore) {
    this.#parts = parts;
    this.#store = store;
  }

  /** @throws Unrestorable if the bytes can't be read, which is a reason to park the actor */
  decode(bytes: Uint8Array): StoredActor {
    return decodeStored(bytes);
  }

  /** Returns the stored value. Null if the actor is parked or the bytes can't be read. */
  readable(bytes: Uint8Array): ActorValue | null {
    try {
      const stored = decodeStored(bytes);
      return stored.type === 'value' ? stored.value : null;
    } catch {
      // The bytes can't be read, so the handler of the actor's next message parks the actor.
      return null;
    }
  }

  async park(
    definition: ActorDefinition,
    id: string,
    original: Uint8Array,
    revision: number,
    reason: { parkCode: ParkCode; message: string },
  ): Promise<void> {
    const { kind } = definition;
    const parked: Parked = {
      code: reason.parkCode,
      message: reason.message.slice(0, messageLengthMax),
      parkedAtMs: this.#parts.nowMs(),
      by: machineName(definition),
    };
    await this.#store.writeParked(kind, id, parked, original, revision);
    this.#parts.log.error({ kind, id, code: parked.code, reason: parked.message }, 'actor parked');
    await this.#parts.reach('actor-parked');
  }

  async stash(definition: ActorDefinition, id: string, delivery: Delivery): Promise<void> {
    const { bus, reach } = this.#parts;
    const { kind } = definition;
    const headers = copiedHeaders(delivery.headers);
    await bus.publish(subjects.stash(kind, id), delivery.data, { messageId: `stash-${delivery.sequence}`, headers });
    await reach('stash-copied');
    const entry = await this.#store.read(kind, id);
    if (entry !== null && this.readable(entry.bytes) !== null) await this.replayStash(kind, id);
    await delivery.acknowledge();
  }

  /**
   * Removes the note and puts the stashed messages back into the inbox.
   * @throws Unrestorable if this machine can't restore the actor
   */
  async unpark(definition: ActorDefinition, id: string): Promise<'unparked' | 'not-parked' | 'absent'> {
    const { kind } = definition;
    const entry = await this.#store.read(kind, id);
    if (entry === null) return 'absent';
    const stored = decodeStored(entry.bytes);
    if (stored.type === 'value') return 'not-parked';
    const value = this.#restorable(definition, stored.original);
    try {
      await this.#store.write({ ...value, unstash: true }, entry.revision, actorLimits.valueBytesMax);
    } catch (error) {
      if (!(error instanceof RevisionConflict)) throw error;
      // Another handler has removed the note or parked the actor again. If that handler also puts the stash back, this
      // does no harm.
    }
    await this.#parts.reach('unpark-stored');
    await this.replayStash(kind, id);
    this.#parts.log.info({ kind, id }, 'actor unparked');
    return 'unparked';
  }

  #restorable(definition: ActorDefinition, original: Uint8Array): ActorValue {
    const inner = decodeStored(original);
    if (inner.type === 'parked') throw new Unrestorable('corrupt', 'what was parked is itself a parked value');
    if (inner.value.status === 'active') resume(definition, inner.value, this.#parts.nowMs());
    return inner.value;
  }

  async replayStash(kind: string, id: string): Promise<void> {
    const { bus, reach } = this.#parts;
    for await (const message of bus.browse(streams.actors, subjects.stash(kind, id))) {
      const headers = copiedHeaders(message.headers);
      await bus.publish(subjects.actor(kind, id), message.data, { messageId: `unstash-${message.sequence}`, headers });
      await reach('unpark-message-published');
      await bus.deleteMessage(streams.actors, message.sequence).catch((error: unknown) => {
        this.#parts.log.warn({ err: error, kind, id }, 'a stashed message was already gone');
      });
    }
  }
}

/** Maximum length of a note's message, in characters. The note must fit into `parkingReserveBytes`. */
const messageLengthMax = 1_000;

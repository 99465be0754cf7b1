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
 * Parks actors that can't go on and brings them back.
 *
 * Invariant 8: a parked actor's bytes stand unchanged behind a note that says why. Its messages go to its stash, in the order of their handling, and
 * are acknowledged. Once a machine that can restore it is there, the note is taken off, and then the stash goes back into the inbox, one by one,
 * each removed after it is there; until then the value says so, and whoever
 * handles the next message goes on with it. A message that was stashed while the note was taken off is brought back by whoever stashed it.
 */
const machineName = ({ version, hash }: { version: number; hash: string }): string => `${version}:${hash}`;

/** Whether this machine may succeed where the one that parked the actor failed. */
export const mayUnpark = (definition: ActorDefinition, parked: Parked): boolean =>
  parked.by !== machineName(definition);

export class Parking {
  readonly #parts: HostParts;
  readonly #store: ActorStore;

  constructor(parts: HostParts, store: ActorStore) {
    this.#parts = parts;
    this.#store = store;
  }

  /** Decodes what is stored; bytes that can't be read are a reason to park like any other. @throws Unrestorable */
  decode(bytes: Uint8Array): StoredActor {
    return decodeStored(bytes);
  }

  /** The value, if it is one that isn't parked. */
  readable(bytes: Uint8Array): ActorValue | null {
    try {
      const stored = decodeStored(bytes);
      return stored.type === 'value' ? stored.value : null;
    } catch {
      // Unreadable and not yet parked: whoever handles the next message parks it.
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

  /** Copies a parked actor's message to its stash and acknowledges it. */
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
   * Takes the note off if this machine can restore the actor, and brings its messages back.
   * @throws Unrestorable where it can't.
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
      // Somebody else took it off, or parked it again: the stash is theirs to bring back, and harmless to bring back twice.
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

/** Fits the room that is kept free in every value. */
const messageLengthMax = 1_000;

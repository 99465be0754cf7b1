import { actorLimits } from './limits.ts';
import { TooLarge } from './errors.ts';
import type { HostParts } from './host-parts.ts';
import { actorKey, encodeParked, encodeValue } from './value.ts';
import type { ActorValue, Parked } from './value.ts';

/**
 * Reads and writes actors' values.
 *
 * Invariant 1: one value an actor, of limited size, written only by compare-and-set on the revision that was read, which is read from the leader.
 */
export class ActorStore {
  readonly #parts: HostParts;

  constructor(parts: HostParts) {
    this.#parts = parts;
  }

  async read(kind: string, id: string): Promise<{ bytes: Uint8Array; revision: number } | null> {
    const entry = await this.#parts.actors.get(actorKey(kind, id));
    return entry === null ? null : { bytes: entry.value, revision: entry.revision };
  }

  /**
   * @param revision what was read; null where there was nothing.
   * @param bytesMax bringing back a parked actor may use the room that parking needs.
   * @throws RevisionConflict when somebody else wrote meanwhile, TooLarge when it must not be stored.
   */
  async write(value: ActorValue, revision: number | null, bytesMax = usualBytesMax): Promise<number> {
    const bytes = encodeValue(value);
    this.#requireSize(value, bytes.length, bytesMax);
    const key = actorKey(value.kind, value.id);
    const options = value.status === 'done' ? { ttlMs: actorLimits.tombstoneTtlMs } : {};
    if (revision === null) return this.#parts.actors.create(key, bytes, options);
    return this.#parts.actors.update(key, bytes, revision, options);
  }

  /** Puts a note before what is stored. @throws RevisionConflict */
  writeParked(kind: string, id: string, parked: Parked, original: Uint8Array, revision: number): Promise<number> {
    return this.#parts.actors.update(actorKey(kind, id), encodeParked(parked, original), revision);
  }

  #requireSize(value: ActorValue, bytes: number, bytesMax: number): void {
    if (bytes > bytesMax) {
      throw new TooLarge(`the state of ${value.kind} ${value.id} would take ${bytes} bytes of at most ${bytesMax}`);
    }
    // A message is never larger than the value that holds it; only a server with a small limit makes this necessary.
    const messageBytesMax = this.#parts.bus.payloadBytesMax - messageReserveBytes;
    if (bytes <= messageBytesMax) return;
    for (const item of value.outbox) {
      const itemBytes = Buffer.byteLength(JSON.stringify(item));
      if (itemBytes <= messageBytesMax) continue;
      throw new TooLarge(`${value.kind} ${value.id} would publish ${itemBytes} bytes of at most ${messageBytesMax}`);
    }
  }
}

const usualBytesMax = actorLimits.valueBytesMax - actorLimits.parkingReserveBytes;

/** For headers and what the message adds to the item. */
const messageReserveBytes = 20 * 1024;

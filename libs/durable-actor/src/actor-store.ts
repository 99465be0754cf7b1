import { actorLimits } from './limits.ts';
import { TooLarge } from './errors.ts';
import type { HostParts } from './host-parts.ts';
import { actorKey, encodeParked, encodeValue } from './value.ts';
import type { ActorValue, Parked } from './value.ts';

/**
 * Reads and writes the values of actors.
 *
 * Invariant 1: a value is written only by compare-and-set on the revision that was read. Reads go to the stream's
 * leader, so they return the last write.
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
   * @param revision revision that was read; null if there was no value
   * @param bytesMax maximum size of the value, in bytes. An unparked value may also use the bytes that are reserved for
   * parking.
   * @throws RevisionConflict if another writer was faster; TooLarge if the value or one of its messages is over a limit
   */
  async write(value: ActorValue, revision: number | null, bytesMax = usualBytesMax): Promise<number> {
    const bytes = encodeValue(value);
    this.#requireSize(value, bytes.length, bytesMax);
    const key = actorKey(value.kind, value.id);
    const options = value.status === 'done' ? { ttlMs: actorLimits.tombstoneTtlMs } : {};
    if (revision === null) return this.#parts.actors.create(key, bytes, options);
    return this.#parts.actors.update(key, bytes, revision, options);
  }

  /**
   * Replaces a value with a note and the value's unchanged bytes. @throws RevisionConflict if another writer was faster
   */
  writeParked(kind: string, id: string, parked: Parked, original: Uint8Array, revision: number): Promise<number> {
    return this.#parts.actors.update(actorKey(kind, id), encodeParked(parked, original), revision);
  }

  #requireSize(value: ActorValue, bytes: number, bytesMax: number): void {
    if (bytes > bytesMax) {
      throw new TooLarge(`the state of ${value.kind} ${value.id} would take ${bytes} bytes of at most ${bytesMax}`);
    }
    // A message is never larger than its value. So the items are checked only if the value exceeds the server's payload
    // limit.
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

/** Bytes reserved for a message's headers and for the fields that aren't in its outbox item. */
const messageReserveBytes = 20 * 1024;

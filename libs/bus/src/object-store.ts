/**
 * Large things by name. A name is written once: its content never changes, so that what is there stays, unless the bucket's limits push it out, chunk by
 * chunk.
 *
 * Invariants:
 * 1. A reading leaves nothing at the server: the client's own `getBlob` leaves its consumer for five minutes, and a stream takes a thousand of them.
 * 2. A reading has no more than `objectChunksAtOnce` chunks on the way: the server cuts off a connection that gets more than it takes.
 * 3. What is given is whole: its digest is that which was stored with it.
 */
import { createHash } from 'node:crypto';
import { CoppiceError } from '@coppice/contracts';
import { busLimits } from './limits.ts';
import type { NatsObjectStore } from './nats.ts';
import type { ReadSubject } from './read.ts';

type StoredObject = {
  /** In bytes. */
  size: number;
  /** @throws CoppiceError `not-found` where it was deleted meanwhile, `unavailable`; the signal's reason. */
  read(signal?: AbortSignal): Promise<Uint8Array>;
};

export class ObjectStore {
  readonly #bucket: string;
  readonly #store: NatsObjectStore;
  readonly #readChunks: ReadSubject;

  /** @param readChunks of the bucket's stream */
  constructor(bucket: string, store: NatsObjectStore, readChunks: ReadSubject) {
    this.#bucket = bucket;
    this.#store = store;
    this.#readChunks = readChunks;
  }

  async put(name: string, data: Uint8Array): Promise<void> {
    // Replacing it would take the right to empty the store's stream.
    const there = await this.#store.info(name);
    if (there !== null && !there.deleted && (await this.#isWhole(there))) return;
    await this.#store.putBlob({ name }, data);
  }

  /** Its first chunks are pushed out before its name is. */
  async #isWhole({ nuid, chunks }: { nuid: string; chunks: number }): Promise<boolean> {
    const subject = this.#chunksOf(nuid);
    const { streamInfo } = await this.#store.status({ subjects_filter: subject });
    return (streamInfo.state.subjects?.[subject] ?? 0) === chunks;
  }

  #chunksOf(nuid: string): string {
    return `$O.${this.#bucket}.C.${nuid}`;
  }

  /** Null where no object has this name. */
  async get(name: string): Promise<Uint8Array | null> {
    const object = await this.find(name);
    return object === null ? null : object.read();
  }

  /** What has this name, before anything of it is read; null where nothing has. */
  async find(name: string): Promise<StoredObject | null> {
    const info = await this.#store.info(name);
    if (info === null || info.deleted) return null;
    const { nuid, size, digest } = info;
    return { size, read: (signal) => this.#read(name, { nuid, size, digest }, signal) };
  }

  async delete(name: string): Promise<void> {
    await this.#store.delete(name);
  }

  async #read(
    name: string,
    { nuid, size, digest }: { nuid: string; size: number; digest: string },
    signal: AbortSignal | undefined,
  ): Promise<Uint8Array> {
    signal?.throwIfAborted();
    if (size === 0) return new Uint8Array();
    const hash = createHash('sha256');
    const chunks: Uint8Array[] = [];
    let bytes = 0;
    const options = { batch: busLimits.objectChunksAtOnce, ...(signal === undefined ? {} : { signal }) };
    for await (const { data } of this.#readChunks(this.#chunksOf(nuid), options)) {
      hash.update(data);
      chunks.push(data);
      bytes += data.length;
      if (bytes > size) break;
    }
    signal?.throwIfAborted();
    // As its writers write it: base64 for addresses, padded.
    const isWhole = bytes === size && hash.digest('base64url') === digest.replace(/^SHA-256=/, '').replace(/=+$/, '');
    if (isWhole) return Buffer.concat(chunks, size);
    const left = await this.#store.info(name);
    if (left === null || left.deleted || bytes < size)
      throw new CoppiceError('not-found', `${name} was deleted, or pushed out, while it was read`);
    throw new CoppiceError('internal', `${name} is not what was stored: ${bytes} of ${size} bytes, or another digest`);
  }
}

/**
 * Stores large values by name. The content of a name never changes. Only the bucket's limits evict an object, oldest
 * chunks first.
 *
 * Invariants:
 * 1. A read removes its consumer from the server. The client's `getBlob` would leave its consumer there for five
 *    minutes, and a stream allows only a thousand consumers.
 * 2. A read has at most `objectChunksAtOnce` chunks in flight, since the server disconnects a client that doesn't read
 *    fast enough.
 * 3. A returned value is complete, since its digest equals the stored digest.
 */
import { createHash } from 'node:crypto';
import { CoppiceError } from '@coppice/contracts';
import { busLimits } from './limits.ts';
import type { NatsObjectStore } from './nats.ts';
import type { ReadSubject } from './read.ts';

type StoredObject = {
  /** Size in bytes. */
  size: number;
  /**
   * @throws CoppiceError `not-found` when the object was deleted or evicted before or during the read
   * @throws CoppiceError `unavailable`
   * @throws the signal's reason
   */
  read(signal?: AbortSignal): Promise<Uint8Array>;
};

export class ObjectStore {
  readonly #bucket: string;
  readonly #store: NatsObjectStore;
  readonly #readChunks: ReadSubject;

  /** @param readChunks reads the bucket's stream */
  constructor(bucket: string, store: NatsObjectStore, readChunks: ReadSubject) {
    this.#bucket = bucket;
    this.#store = store;
    this.#readChunks = readChunks;
  }

  async put(name: string, data: Uint8Array): Promise<void> {
    // A complete object isn't stored again, since replacing it needs permission to purge the store's stream.
    const there = await this.#store.info(name);
    if (there !== null && !there.deleted && (await this.#isWhole(there))) return;
    await this.#store.putBlob({ name }, data);
  }

  /** Counts the chunks, since the size limit evicts an object's first chunks before its name. */
  async #isWhole({ nuid, chunks }: { nuid: string; chunks: number }): Promise<boolean> {
    const subject = this.#chunksOf(nuid);
    const { streamInfo } = await this.#store.status({ subjects_filter: subject });
    return (streamInfo.state.subjects?.[subject] ?? 0) === chunks;
  }

  #chunksOf(nuid: string): string {
    return `$O.${this.#bucket}.C.${nuid}`;
  }

  /** Null if no object has this name. */
  async get(name: string): Promise<Uint8Array | null> {
    const object = await this.find(name);
    return object === null ? null : object.read();
  }

  /** Finds an object without reading its content. Null if no object has this name. */
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
    // The client stores the digest as padded base64url.
    const isWhole = bytes === size && hash.digest('base64url') === digest.replace(/^SHA-256=/, '').replace(/=+$/, '');
    if (isWhole) return Buffer.concat(chunks, size);
    const left = await this.#store.info(name);
    if (left === null || left.deleted || bytes < size)
      throw new CoppiceError('not-found', `${name} was deleted, or evicted, while it was read`);
    throw new CoppiceError('internal', `${name} is not what was stored: ${bytes} of ${size} bytes, or another digest`);
  }
}

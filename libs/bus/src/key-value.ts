import { RevisionConflict } from './errors.ts';
import { busLimits } from './limits.ts';
import { JetStreamApiError, headers } from './nats.ts';
import type { JetStreamClient, JetStreamManager } from './nats.ts';
import type { ReadSubject } from './read.ts';
import { keyValueStream } from './resources.ts';

export type KeyValueEntry = { value: Uint8Array; revision: number; created: Date };

/** JetStream's error code if the last sequence isn't the expected one. */
const wrongLastSequence = 10071;
const noMessageFound = 10037;
/** Header of a message that marks its key as deleted or expired. */
const operationHeader = 'KV-Operation';
const deletion = 'DEL';
const deletionHeaders = [operationHeader, 'Nats-Marker-Reason'];

/**
 * A JetStream key-value bucket. Unlike the client's own class, this class reads only from the stream's leader and
 * supports a time to live for each write. A stale value from a replica would make a compare-and-set fail, or make a
 * finished actor run again.
 */
export class KeyValue {
  readonly #bucket: string;
  readonly #jetStream: JetStreamClient;
  readonly #manager: JetStreamManager;
  readonly #read: ReadSubject;

  /** @param read reads the bucket's stream */
  constructor(bucket: string, jetStream: JetStreamClient, manager: JetStreamManager, read: ReadSubject) {
    this.#bucket = bucket;
    this.#jetStream = jetStream;
    this.#manager = manager;
    this.#read = read;
  }

  /** Returns null if the key is absent, deleted or expired. */
  async get(key: string): Promise<KeyValueEntry | null> {
    const stored = await this.#last(key);
    return stored === null || stored.deleted ? null : stored;
  }

  /** Returns `listed` if the key exists, `left` if it was deleted, and `absent` if it has expired or never existed. */
  async sight(key: string): Promise<'listed' | 'left' | 'absent'> {
    const last = await this.#last(key);
    if (last === null) return 'absent';
    if (!last.deleted) return 'listed';
    return last.byHand ? 'left' : 'absent';
  }

  /** @throws RevisionConflict when the key exists. */
  async create(key: string, value: Uint8Array, options: { ttlMs?: number } = {}): Promise<number> {
    try {
      return await this.#write(key, value, 0, options.ttlMs);
    } catch (error) {
      if (!(error instanceof RevisionConflict)) throw error;
      // The last message may mark a deletion or an expiry, and then the key doesn't exist.
      const last = await this.#last(key);
      if (last === null || !last.deleted) throw error;
      return await this.#write(key, value, last.revision, options.ttlMs);
    }
  }

  /** @throws RevisionConflict when the key's last revision isn't `revision`. */
  update(key: string, value: Uint8Array, revision: number, options: { ttlMs?: number } = {}): Promise<number> {
    return this.#write(key, value, revision, options.ttlMs);
  }

  /** Writes without checking the revision. Only for keys that a single process writes. */
  put(key: string, value: Uint8Array, options: { ttlMs?: number } = {}): Promise<number> {
    return this.#write(key, value, undefined, options.ttlMs);
  }

  async delete(key: string): Promise<void> {
    const marker = headers();
    marker.set(operationHeader, deletion);
    await this.#jetStream.publish(this.#subject(key), new Uint8Array(), { headers: marker });
  }

  /**
   * Yields each key that matches a filter, such as `task.default.*`, once and in no particular order. Keys that are
   * written during the listing may be missing. All keys are read into memory first, so that a slow caller doesn't keep
   * a consumer open. The client's own listing would leave its consumer on the server for five minutes.
   */
  async *keys(filter = '>'): AsyncIterable<string> {
    const keys = new Set<string>();
    const options = { headersOnly: true, batch: busLimits.keyBatch };
    for await (const { subject, headers: received } of this.#read(this.#subject(filter), options)) {
      const key = subject.slice(this.#subject('').length);
      if (deletionHeaders.some((name) => name in received)) keys.delete(key);
      else keys.add(key);
    }
    yield* keys;
  }

  #subject(key: string): string {
    return `$KV.${this.#bucket}.${key}`;
  }

  async #last(key: string): Promise<(KeyValueEntry & { deleted: boolean; byHand: boolean }) | null> {
    try {
      const stored = await this.#manager.streams.getMessage(keyValueStream(this.#bucket), {
        last_by_subj: this.#subject(key),
      });
      if (stored === null) return null;
      const deleted = deletionHeaders.some((name) => stored.header.has(name));
      const byHand = stored.header.get(operationHeader) === deletion;
      return { value: stored.data, revision: stored.seq, created: stored.time, deleted, byHand };
    } catch (error) {
      if (error instanceof JetStreamApiError && error.code === noMessageFound) return null;
      throw error;
    }
  }

  async #write(
    key: string,
    value: Uint8Array,
    revision: number | undefined,
    ttlMs: number | undefined,
  ): Promise<number> {
    try {
      const published = await this.#jetStream.publish(this.#subject(key), value, {
        timeout: busLimits.publishTimeoutMs,
        ...(revision === undefined ? {} : { expect: { lastSubjectSequence: revision } }),
        ...(ttlMs === undefined ? {} : { ttl: `${Math.max(1, Math.ceil(ttlMs / 1_000))}s` }),
      });
      return published.seq;
    } catch (error) {
      if (error instanceof JetStreamApiError && error.code === wrongLastSequence) {
        throw new RevisionConflict(key, revision ?? 0, error);
      }
      throw error;
    }
  }
}

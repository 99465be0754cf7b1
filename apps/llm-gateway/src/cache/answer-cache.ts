/**
 * Answers stored for repeated requests.
 *
 * Collaborators: the bucket `coppice-llm-cache`, which only gateways read and write, and `cached-exchange.ts`, which
 * calls `find` and `keep`.
 *
 * Invariants:
 * 1. No tenant gets another tenant's answer, since every key contains the tenant.
 * 2. Only complete answers are stored, and only complete ones are returned (entry.ts).
 * 3. If the bucket is full, slow or unavailable, calls continue without the cache. No call waits for a write.
 * 4. At most `lookUpsMax` lookups run at once. Decoded answers that aren't delivered yet have at most `heldBytesMax`
 *    bytes together. If an answer doesn't fit, its lookup waits up to `roomMsMax`, and then counts as a miss.
 * 5. If two identical calls run at the same time, both send a request to a provider. No call waits for another's
 *    answer.
 */
import type { KeyValue } from '@coppice/bus';
import { Admission } from '@coppice/service';
import { createLogger } from '@coppice/telemetry';
import { inTime } from '../awaiting.ts';
import type { ModelDelta } from '../provider/port.ts';
import { decodeEntry, decodedBytesOf, encodeEntry } from './entry.ts';
import { cacheLimits } from './limits.ts';

export type CacheSettings = {
  /** Lifetime of a stored answer. */
  ttlMs: number;
  /** Largest compressed answer. Larger answers aren't stored. */
  entryBytesMax: number;
};

type Kept = {
  deltas: readonly ModelDelta[];
  /** Releases the answer's bytes. Must be called after the deltas were delivered. */
  forget(): void;
};
type Found = Kept & { index: number };
type Entry = Awaited<ReturnType<KeyValue['get']>>;

export class AnswerCache {
  readonly #bucket: Pick<KeyValue, 'get' | 'put'>;
  readonly #settings: CacheSettings;
  readonly #writing = new Set<Promise<void>>();
  /** Bytes of all decoded answers that aren't delivered yet. */
  readonly #room = new Admission({ total: cacheLimits.heldBytesMax });
  readonly #lookUps = new Admission({ total: cacheLimits.lookUpsMax });
  readonly #log = createLogger('llm-gateway');
  #failing = false;

  constructor(bucket: Pick<KeyValue, 'get' | 'put'>, settings: CacheSettings) {
    this.#bucket = bucket;
    this.#settings = settings;
  }

  /** Returns the answer under the first key that has one. Null if none has. Never throws. */
  async find(keys: readonly string[]): Promise<Found | null> {
    if (!this.#lookUps.tryTake()) return null;
    const lookUp = this.#lookUp(keys);
    const entries = await this.#inTime(lookUp);
    try {
      return entries === null ? null : await this.#firstOf(entries);
    } finally {
      // A slow lookup counts as running until it ends. Its error may be ignored, since `#inTime` has already handled
      // it.
      void lookUp.catch(() => {}).finally(() => this.#lookUps.giveBack());
    }
  }

  /** Stores an answer in the background. Skips an answer that is incomplete or too large. */
  keep(key: string, deltas: readonly ModelDelta[]): void {
    if (this.#writing.size >= cacheLimits.writesMax) return;
    const writing = this.#write(key, deltas).finally(() => this.#writing.delete(writing));
    this.#writing.add(writing);
  }

  async stop(): Promise<void> {
    await Promise.all(this.#writing);
  }

  #lookUp(keys: readonly string[]): Promise<Entry[]> {
    return Promise.all(keys.map(async (key) => this.#bucket.get(key)));
  }

  /** Returns null if the bucket fails or is slow. The time for decoding doesn't count. */
  async #inTime(lookUp: Promise<Entry[]>): Promise<Entry[] | null> {
    try {
      const entries = await inTime(lookUp, cacheLimits.lookUpMsMax);
      this.#failing = false;
      return entries;
    } catch (error) {
      this.#failed(error);
      return null;
    }
  }

  async #firstOf(entries: Entry[]): Promise<Found | null> {
    for (const [index, entry] of entries.entries()) {
      const kept = entry === null ? null : await this.#read(entry.value);
      if (kept !== null) return { ...kept, index };
    }
    return null;
  }

  async #read(value: Uint8Array): Promise<Kept | null> {
    const bytes = decodedBytesOf(value);
    if (bytes === null || !(await this.#hasRoom(bytes))) return null;
    const deltas = await decodeEntry(value, bytes);
    const forget = () => this.#room.giveBack(bytes);
    if (deltas !== null) return { deltas, forget };
    forget();
    return null;
  }

  async #hasRoom(bytes: number): Promise<boolean> {
    const taken = this.#room.take({ amount: bytes, signal: AbortSignal.timeout(cacheLimits.roomMsMax) });
    return taken.then(
      () => true,
      () => false,
    );
  }

  async #write(key: string, deltas: readonly ModelDelta[]): Promise<void> {
    try {
      const { ttlMs, entryBytesMax } = this.#settings;
      const value = await encodeEntry(deltas, entryBytesMax);
      if (value !== null) await this.#bucket.put(key, value, { ttlMs });
    } catch (error) {
      this.#failed(error);
    }
  }

  /** Logs only the first failure after the bucket last worked. */
  #failed(error: unknown): void {
    if (!this.#failing) this.#log.warn({ err: error }, 'the answer cache failed; calls continue without it');
    this.#failing = true;
  }
}

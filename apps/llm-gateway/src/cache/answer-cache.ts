/**
 * Cache of complete answers for repeated requests.
 *
 * Collaborators: the bucket `coppice-llm-cache`, which only gateways read and write.
 *
 * Invariants:
 * 1. No tenant gets another tenant's answer, since every key contains the tenant.
 * 2. Only complete answers are stored and returned (entry.ts).
 * 3. No call fails because the bucket is full, slow or unavailable. No call waits for a write.
 * 4. At most `lookUpsMax` lookups run at once. All decoded answers that aren't delivered yet have at most
 *    `heldBytesMax` bytes in total. If another answer doesn't fit, its lookup waits up to `roomMsMax` and then counts
 *    as a miss.
 * 5. Two identical concurrent calls both send a request to a provider.
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
  /** Maximum compressed size of a stored answer. Larger answers aren't stored. */
  entryBytesMax: number;
};

type Kept = {
  deltas: readonly ModelDelta[];
  /** Releases the answer's part of `heldBytesMax`. Must be called after the deltas were delivered. */
  forget(): void;
};
type Found = Kept & { index: number };
type Entry = Awaited<ReturnType<KeyValue['get']>>;

export class AnswerCache {
  readonly #bucket: Pick<KeyValue, 'get' | 'put'>;
  readonly #settings: CacheSettings;
  readonly #writing = new Set<Promise<void>>();
  readonly #room = new Admission({ total: cacheLimits.heldBytesMax });
  readonly #lookUps = new Admission({ total: cacheLimits.lookUpsMax });
  readonly #log = createLogger('llm-gateway');
  #failing = false;

  constructor(bucket: Pick<KeyValue, 'get' | 'put'>, settings: CacheSettings) {
    this.#bucket = bucket;
    this.#settings = settings;
  }

  /** Returns the answer stored under the first key that has one. Never throws. */
  async find(keys: readonly string[]): Promise<Found | null> {
    if (!this.#lookUps.tryTake()) return null;
    const lookUp = this.#lookUp(keys);
    const entries = await this.#inTime(lookUp);
    try {
      return entries === null ? null : await this.#firstOf(entries);
    } finally {
      // A slow lookup counts as running until it ends. Its error is ignored, since `#inTime` has already logged the
      // failure.
      void lookUp.catch(() => {}).finally(() => this.#lookUps.giveBack());
    }
  }

  /** Stores an answer in the background, unless it is incomplete or too large. */
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

  /** Returns null if the bucket fails or takes longer than `lookUpMsMax`. That time doesn't include decoding. */
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

  /** Logs only the first failure since the last successful lookup. */
  #failed(error: unknown): void {
    if (!this.#failing) this.#log.warn({ err: error }, 'the answer cache failed; calls continue without it');
    this.#failing = true;
  }
}

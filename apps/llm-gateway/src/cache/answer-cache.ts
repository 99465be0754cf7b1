/**
 * Answers stored for repeated requests.
 *
 * Collaborators: the bucket `coppice-llm-cache`, which only gateways write and read; `cached-exchange.ts`, which looks up and stores answers.
 *
 * Invariants:
 * 1. No tenant gets another tenant's answer: the tenant is a part of every key.
 * 2. Only complete answers are stored, and only complete ones are found: see entry.ts.
 * 3. A bucket that is full, slow or unavailable fails no call, and no call waits for a write.
 * 4. At most `lookUpsMax` lookups run at once, and answers that are decoded and not delivered have at most `heldBytesMax`: a lookup without room waits up to `roomMsMax`, and
 *    is then a miss.
 * 5. Two identical calls at once both go to a provider: no call waits for another's answer.
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
  /** Largest stored answer, compressed; larger ones aren't stored. */
  entryBytesMax: number;
};

type Kept = {
  deltas: readonly ModelDelta[];
  /** Releases the room; to be called after the deltas were delivered. */
  forget(): void;
};
type Found = Kept & { index: number };
type Entry = Awaited<ReturnType<KeyValue['get']>>;

export class AnswerCache {
  readonly #bucket: Pick<KeyValue, 'get' | 'put'>;
  readonly #settings: CacheSettings;
  readonly #writing = new Set<Promise<void>>();
  /** Bytes of all answers that are decoded. */
  readonly #room = new Admission({ total: cacheLimits.heldBytesMax });
  readonly #lookUps = new Admission({ total: cacheLimits.lookUpsMax });
  readonly #log = createLogger('llm-gateway');
  #failing = false;

  constructor(bucket: Pick<KeyValue, 'get' | 'put'>, settings: CacheSettings) {
    this.#bucket = bucket;
    this.#settings = settings;
  }

  /** The answer under the first of these keys that has one; null if none has. Never throws. */
  async find(keys: readonly string[]): Promise<Found | null> {
    if (!this.#lookUps.tryTake()) return null;
    const lookUp = this.#lookUp(keys);
    const entries = await this.#inTime(lookUp);
    try {
      return entries === null ? null : await this.#firstOf(entries);
    } finally {
      // A late lookup counts as running until it ends. Its failure was already logged by `#inTime`.
      void lookUp.catch(() => {}).finally(() => this.#lookUps.giveBack());
    }
  }

  /** Stores an answer in the background. Incomplete or too large ones are skipped. */
  keep(key: string, deltas: readonly ModelDelta[]): void {
    if (this.#writing.size >= cacheLimits.writesMax) return;
    const writing = this.#write(key, deltas).finally(() => this.#writing.delete(writing));
    this.#writing.add(writing);
  }

  /** Waits for the writes in progress. */
  async stop(): Promise<void> {
    await Promise.all(this.#writing);
  }

  #lookUp(keys: readonly string[]): Promise<Entry[]> {
    return Promise.all(keys.map(async (key) => this.#bucket.get(key)));
  }

  /** Null if the bucket fails or is slow. Time to decode the values doesn't count. */
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

  /** Logs once, until the bucket answers again. */
  #failed(error: unknown): void {
    if (!this.#failing) this.#log.warn({ err: error }, 'the cache of answers fails; calls go on without it');
    this.#failing = true;
  }
}

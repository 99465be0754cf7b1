/**
 * Answers that are kept for the same request again.
 *
 * Collaborators: the bucket `coppice-llm-cache`, where only gateways write and read; `cached-exchange.ts`, which asks.
 *
 * Invariants:
 * 1. Nobody is given another tenant's answer: the tenant is a part of every key.
 * 2. Only whole answers are kept, and only whole ones are found: see entry.ts.
 * 3. A bucket that is full, slow or away fails no call, and nobody waits for a write.
 * 4. At most `lookUpsMax` look at once, and what is read and not told yet has at most `heldBytesMax`: who finds no room waits for some, `roomMsMax` at most, and then
 *    finds nothing.
 * 5. Two calls that ask the same at once both ask: nobody waits for another's answer.
 */
import type { KeyValue } from '@coppice/bus';
import { createLogger } from '@coppice/telemetry';
import type { ModelDelta } from '../provider/port.ts';
import { decodeEntry, decodedBytesOf, encodeEntry } from './entry.ts';
import { cacheLimits } from './limits.ts';
import { Room } from '../room.ts';

export type CacheSettings = {
  /** How long an answer is kept. */
  ttlMs: number;
  /** Of an answer as it is kept, compressed; larger ones aren't. */
  entryBytesMax: number;
};

type Kept = {
  deltas: readonly ModelDelta[];
  /** Once they are told: gives their room back. */
  forget(): void;
};
type Found = Kept & { index: number };
type Entry = Awaited<ReturnType<KeyValue['get']>>;

export class AnswerCache {
  readonly #bucket: Pick<KeyValue, 'get' | 'put'>;
  readonly #settings: CacheSettings;
  readonly #writing = new Set<Promise<void>>();
  readonly #room = new Room('all answers of the cache together', cacheLimits.heldBytesMax, cacheLimits.roomMsMax);
  #lookUps = 0;
  readonly #log = createLogger('llm-gateway');
  #failing = false;

  constructor(bucket: Pick<KeyValue, 'get' | 'put'>, settings: CacheSettings) {
    this.#bucket = bucket;
    this.#settings = settings;
  }

  /** The answer under the first of these keys that has one; null where none has. Never throws. */
  async find(keys: readonly string[]): Promise<Found | null> {
    if (this.#lookUps === cacheLimits.lookUpsMax) return null;
    this.#lookUps++;
    const asked = this.#ask(keys);
    const entries = await this.#inTime(asked);
    try {
      return entries === null ? null : await this.#firstOf(entries);
    } finally {
      // One that is late is one of those at once until it ends; that it failed was told where it was waited for.
      void asked.catch(() => {}).finally(() => this.#lookUps--);
    }
  }

  /** Not waited for. What isn't whole, or is too large, isn't kept. */
  keep(key: string, deltas: readonly ModelDelta[]): void {
    if (this.#writing.size >= cacheLimits.writesMax) return;
    const writing = this.#write(key, deltas).finally(() => this.#writing.delete(writing));
    this.#writing.add(writing);
  }

  /** What is being written is written by then. */
  async stop(): Promise<void> {
    await Promise.all(this.#writing);
  }

  #ask(keys: readonly string[]): Promise<Entry[]> {
    return Promise.all(keys.map(async (key) => this.#bucket.get(key)));
  }

  /** Null where the bucket fails or is slow: how long it then takes to read what it has is not its fault. */
  async #inTime(asked: Promise<Entry[]>): Promise<Entry[] | null> {
    const { promise: tooLate, reject } = Promise.withResolvers<never>();
    const late = () => reject(new Error(`no answer within ${cacheLimits.lookUpMsMax} ms`));
    const timer = setTimeout(late, cacheLimits.lookUpMsMax);
    try {
      const entries = await Promise.race([asked, tooLate]);
      this.#failing = false;
      return entries;
    } catch (error) {
      this.#failed(error);
      return null;
    } finally {
      clearTimeout(timer);
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
    if (bytes === null || !(await this.#room.take(bytes))) return null;
    const deltas = await decodeEntry(value, bytes);
    const forget = () => this.#room.giveBack(bytes);
    if (deltas !== null) return { deltas, forget };
    forget();
    return null;
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

  /** Told once, until the bucket answers again. */
  #failed(error: unknown): void {
    if (!this.#failing) this.#log.warn({ err: error }, 'the cache of answers fails; calls go on without it');
    this.#failing = true;
  }
}

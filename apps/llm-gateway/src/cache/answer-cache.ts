/**
 * Answers that are kept for the same request again.
 *
 * Collaborators: the bucket `coppice-llm-cache`, where only gateways write and read; `cached-exchange.ts`, which asks.
 *
 * Invariants:
 * 1. Nobody is given another tenant's answer: the tenant is a part of every key.
 * 2. Only whole answers are kept, and only whole ones are found: see entry.ts.
 * 3. A bucket that is full, slow or away fails no call, and nobody waits for a write.
 * 4. Two calls that ask the same at once both ask: nobody waits for another's answer.
 */
import type { KeyValue } from '@coppice/bus';
import { createLogger } from '@coppice/telemetry';
import type { ModelDelta } from '../provider/port.ts';
import { decodeEntry, encodeEntry } from './entry.ts';
import { cacheLimits } from './limits.ts';

export type CacheSettings = {
  /** How long an answer is kept. */
  ttlMs: number;
  /** Of an answer as it is kept, compressed; larger ones aren't. */
  entryBytesMax: number;
};

type Found = { index: number; deltas: readonly ModelDelta[] };

export class AnswerCache {
  readonly #bucket: Pick<KeyValue, 'get' | 'put'>;
  readonly #settings: CacheSettings;
  readonly #writing = new Set<Promise<void>>();
  readonly #log = createLogger('llm-gateway');
  #failing = false;

  constructor(bucket: Pick<KeyValue, 'get' | 'put'>, settings: CacheSettings) {
    this.#bucket = bucket;
    this.#settings = settings;
  }

  /** The answer under the first of these keys that has one; null where none has. Never throws. */
  async find(keys: readonly string[]): Promise<Found | null> {
    const { promise: late, resolve } = Promise.withResolvers<null>();
    const timer = setTimeout(resolve, cacheLimits.lookUpMsMax, null);
    try {
      const answers = await Promise.race([Promise.all(keys.map((key) => this.#read(key))), late]);
      if (answers === null) throw new Error(`no answer within ${cacheLimits.lookUpMsMax} ms`);
      this.#failing = false;
      const index = answers.findIndex((deltas) => deltas !== null);
      const deltas = answers[index];
      return deltas === undefined || deltas === null ? null : { index, deltas };
    } catch (error) {
      this.#failed(error);
      return null;
    } finally {
      clearTimeout(timer);
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

  async #read(key: string): Promise<readonly ModelDelta[] | null> {
    const entry = await this.#bucket.get(key);
    return entry === null ? null : decodeEntry(entry.value);
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

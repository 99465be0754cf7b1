/**
 * Stores items of answers. Clients reference these by id in later requests, as clients of Responses do by default.
 *
 * Invariants:
 * 1. A tenant never gets another tenant's items, since every key contains the tenant. Only items that the gateway sent to the tenant are stored, never
 *    something that a client wrote.
 * 2. The bucket limits the size of all items together, and discards the oldest items of any tenant. Items also expire. The items that one request references
 *    are limited by the room for its body, and by `answersMax`.
 * 3. A slow or unavailable bucket fails no answer. Items that could not be stored can't be referenced. Requests that reference items during that time get `unavailable`.
 */
import type { KeyValue } from '@coppice/bus';
import { Admission } from '@coppice/service';
import type { Logger } from '@coppice/telemetry';
import { inTime } from '../../awaiting.ts';
import { jsonOf } from '../../transport/json.ts';
import { refusal } from './error-response.ts';
import { facadeLimits } from './limits.ts';

export type Item = Readonly<Record<string, unknown>>;
type NamedRoom = { bytesMax: number; room: Admission };
/** Items stored together under `key`, which consists of letters, digits, `-` and `_`. */
export type Kept = { key: string; items: readonly object[] };
type Named = { items: readonly Item[]; bytes: number };

const limits = facadeLimits.items;

export class KeptItems {
  readonly #bucket: Pick<KeyValue, 'get' | 'put'>;
  readonly #log: Pick<Logger, 'error'>;
  /** Bytes for the values that all requests read at the moment. Each read reserves the largest possible size. */
  readonly #reading = new Admission({ total: limits.readingBytesMax });
  #failing = false;

  constructor(bucket: Pick<KeyValue, 'get' | 'put'>, log: Pick<Logger, 'error'>) {
    this.#bucket = bucket;
    this.#log = log;
  }

  /** Stores items. Waits for the writes, for at most `waitMsMax`, so that the client's next request finds the items. Never throws. */
  async keep(tenant: string, kept: readonly Kept[]): Promise<void> {
    const values = kept.slice(0, limits.keysMax).map(({ key, items }) => ({
      key,
      value: Buffer.from(JSON.stringify(items)),
    }));
    const small = values.filter(({ value }) => value.length <= limits.answerBytesMax);
    await Promise.all(small.map(({ key, value }) => this.#inTime(this.#bucket.put(keyOf(tenant, key), value))));
  }

  /**
   * Returns the items that are still stored under these keys. Stops reading when the next value might not fit in `bytesMax`. The caller must return the items'
   * bytes to `room`.
   * @throws CoppiceError `unavailable` if there is no room, or the bucket fails or is slow.
   */
  async named(tenant: string, keys: readonly string[], { bytesMax, room }: NamedRoom): Promise<Named> {
    const items: Item[] = [];
    let bytes = 0;
    const endMs = performance.now() + limits.readMsMax;
    const left = keys.slice(0, limits.answersMax);
    const refuse = (why: string): never => {
      room.giveBack(bytes);
      throw refusal('unavailable', 503, why);
    };
    while (left.length > 0) {
      const fitting = Math.floor((bytesMax - bytes) / limits.answerBytesMax);
      const together = left.splice(0, Math.min(limits.readsAtOnce, fitting));
      if (together.length === 0) break;
      const reading = together.length * limits.answerBytesMax;
      const signal = AbortSignal.timeout(limits.readMsMax);
      await this.#reading.take({ amount: reading, signal }).catch(() => refuse(cannotBeRead));
      const entries = await Promise.all(together.map((key) => this.#inTime(this.#bucket.get(keyOf(tenant, key)))));
      const values = entries.flatMap((entry) => (entry ? [Buffer.from(entry.value)] : []));
      const size = values.reduce((sum, { length }) => sum + length, 0);
      const hasRoom = room.tryTake(size);
      this.#reading.giveBack(reading);
      if (!hasRoom) refuse('too many large requests at once');
      bytes += size;
      if (entries.includes(undefined) || (left.length > 0 && performance.now() > endMs)) refuse(cannotBeRead);
      for (const value of values) {
        const kept = jsonOf(value.toString());
        if (Array.isArray(kept)) items.push(...(kept as Item[]));
      }
    }
    return { items, bytes };
  }

  /** Returns undefined if the bucket fails or is slow. */
  async #inTime<Result>(reading: Promise<Result>): Promise<Result | undefined> {
    try {
      const result = await inTime(reading, limits.waitMsMax);
      this.#failing = false;
      return result;
    } catch (error) {
      // Only the first failure after the bucket last worked is logged.
      if (!this.#failing) this.#log.error({ err: error }, 'items of answers can be neither stored nor read');
      this.#failing = true;
      return undefined;
    }
  }
}

const cannotBeRead =
  "what the request names by its id can't be read just now: send the request again, or send the items themselves, with store: false";

const keyOf = (tenant: string, key: string): string => `${tenant}.${key}`;

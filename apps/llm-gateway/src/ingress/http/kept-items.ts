/**
 * Stores items of answers. Clients reference the items by id in later requests, as clients of the Responses API do by
 * default.
 *
 * Invariants:
 * 1. A tenant never gets another tenant's items, since every key contains the tenant. Only items that the gateway sends
 *    to the tenant are stored.
 * 2. The bucket limits the size of all items, and discards the oldest items first. Items also expire. A request gets
 *    only items that fit in the limit of its body.
 * 3. If the bucket is slow or unavailable, answers are still sent, but their items may be lost. Requests that reference
 *    items then get `unavailable`.
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
/** Items that are stored together. `key` consists of letters, digits, `-` and `_`. */
export type Kept = { key: string; items: readonly object[] };
type Named = { items: readonly Item[]; bytes: number };

const limits = facadeLimits.items;

export class KeptItems {
  readonly #bucket: Pick<KeyValue, 'get' | 'put'>;
  readonly #log: Pick<Logger, 'error'>;
  /** Budget in bytes for the values that all requests are reading. Each read reserves `answerBytesMax`. */
  readonly #reading = new Admission({ total: limits.readingBytesMax });
  #failing = false;

  constructor(bucket: Pick<KeyValue, 'get' | 'put'>, log: Pick<Logger, 'error'>) {
    this.#bucket = bucket;
    this.#log = log;
  }

  /** Waits up to `waitMsMax` for the writes, so that the client's next request finds the items. Never throws. */
  async keep(tenant: string, kept: readonly Kept[]): Promise<void> {
    const values = kept.slice(0, limits.keysMax).map(({ key, items }) => ({
      key,
      value: Buffer.from(JSON.stringify(items)),
    }));
    const small = values.filter(({ value }) => value.length <= limits.answerBytesMax);
    await Promise.all(small.map(({ key, value }) => this.#inTime(this.#bucket.put(keyOf(tenant, key), value))));
  }

  /**
   * Returns the items that are still stored under these keys. Stops reading when the next value might exceed
   * `bytesMax`. Takes the items' bytes from `room`. The caller must return them.
   * @throws CoppiceError `unavailable` if `room` has too little left, or if the bucket fails or is slow
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
      // Repeated failures are logged once, until the bucket works again.
      if (!this.#failing) this.#log.error({ err: error }, 'items of answers can be neither stored nor read');
      this.#failing = true;
      return undefined;
    }
  }
}

const cannotBeRead =
  "what the request names by its id can't be read just now: send the request again, or send the items themselves, with store: false";

const keyOf = (tenant: string, key: string): string => `${tenant}.${key}`;

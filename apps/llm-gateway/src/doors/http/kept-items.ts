/**
 * Items of answers that their clients take for stored, and name by their ids in the next request, as clients of Responses do unless told otherwise.
 *
 * Invariants:
 * 1. Nobody is given another tenant's items: the tenant is a part of every key. What is given is what the gateway told that tenant, and nothing that a client wrote.
 * 2. All together are bounded by the bucket, where the oldest make room, whoever's they are, and by their age; those that one request names by the room that a body has, and `answersMax`.
 * 3. A bucket that is slow or away fails no answer: what isn't kept can't be named, which its client is told then. Who names items meanwhile is told to come again.
 */
import type { KeyValue } from '@coppice/bus';
import type { Logger } from '@coppice/telemetry';
import { jsonOf } from '../../provider/http/json.ts';
import { Room } from '../../room.ts';
import { refusal } from './complaint.ts';
import { facadeLimits } from './limits.ts';
import type { BodyRoom } from './request-body.ts';

export type Item = Readonly<Record<string, unknown>>;
type NamedRoom = { bytesMax: number; room: Pick<BodyRoom, 'tryTake' | 'giveBack'> };
/** What is found again, all of it, by `key`, letters, digits, `-` and `_`. */
export type Kept = { key: string; items: readonly object[] };
type Named = { items: readonly Item[]; bytes: number };

const limits = facadeLimits.items;

export class KeptItems {
  readonly #bucket: Pick<KeyValue, 'get' | 'put'>;
  readonly #log: Pick<Logger, 'error'>;
  /** Values that are read by all requests at once may be as large as they can be. */
  readonly #reading = new Room('items that are read', limits.readingBytesMax, limits.readMsMax);
  #failing = false;

  constructor(bucket: Pick<KeyValue, 'get' | 'put'>, log: Pick<Logger, 'error'>) {
    this.#bucket = bucket;
    this.#log = log;
  }

  /** Waited for, so that the next request finds them, but not for long. Never throws. */
  async keep(tenant: string, kept: readonly Kept[]): Promise<void> {
    const values = kept.slice(0, limits.keysMax).map(({ key, items }) => ({
      key,
      value: Buffer.from(JSON.stringify(items)),
    }));
    const small = values.filter(({ value }) => value.length <= limits.answerBytesMax);
    await Promise.all(small.map(({ key, value }) => this.#inTime(this.#bucket.put(keyOf(tenant, key), value))));
  }

  /**
   * Those of these keys that are still kept, as far as they have `bytesMax` together. They have room until whoever asked gives it back.
   * @throws CoppiceError `unavailable` where there is no room, and where the bucket fails or is slow.
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
      if (!(await this.#reading.take(reading))) refuse(cannotBeRead);
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

  /** Undefined where the bucket fails or is slow. */
  async #inTime<Result>(asked: Promise<Result>): Promise<Result | undefined> {
    const { promise: tooLate, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(() => reject(new Error(`no answer within ${limits.waitMsMax} ms`)), limits.waitMsMax);
    try {
      const result = await Promise.race([asked, tooLate]);
      this.#failing = false;
      return result;
    } catch (error) {
      // Told once, until the bucket answers again.
      if (!this.#failing) this.#log.error({ err: error }, 'items of answers can be neither kept nor read');
      this.#failing = true;
      return undefined;
    } finally {
      clearTimeout(timer);
    }
  }
}

const cannotBeRead =
  "what the request names by its id can't be read just now: ask again, or send the items themselves, with store: false";

const keyOf = (tenant: string, key: string): string => `${tenant}.${key}`;

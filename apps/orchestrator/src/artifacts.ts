/**
 * Answers `artifact.get`: parts of what lies in the object store, to the tenant whose it is.
 *
 * Invariants:
 * 1. Another tenant's artifact is answered as one that isn't there.
 * 2. What lies in memory is bounded: what was asked for last, up to `heldBytesMax`, and `readsAtOnce` objects that are being read. The store reads an object
 *    from its beginning alone, and whoever asks for a part asks for the next.
 */
import { createHash } from 'node:crypto';
import type { Bus } from '@coppice/bus';
import { CoppiceError, api, bucketOfArtifact, tenantOfArtifact } from '@coppice/contracts';
import type { z } from 'zod';

type Request = z.output<typeof api.artifactGet.input>;
type Part = z.output<typeof api.artifactGet.output>;
type Held = { bytes: Uint8Array; sha256: string };

export const artifactLimits = {
  heldBytesMax: 64 * 1024 * 1024,
  readsAtOnce: 2,
  /** Who is behind these is told to come again. */
  waitingMax: 100,
} as const;

export class Artifacts {
  readonly #bus: Bus;
  /** In the order in which they were asked for. */
  readonly #held = new Map<string, Held>();
  readonly #reading = new Map<string, Promise<Held | null>>();
  readonly #waiting: (() => void)[] = [];
  #readers = 0;

  constructor(bus: Bus) {
    this.#bus = bus;
  }

  /** @throws CoppiceError `not-found`; `invalid-request` for an offset behind the end; `unavailable` while too many others wait. */
  async part(tenant: string, { name, offset, length }: Request): Promise<Part> {
    const found = tenantOfArtifact(name) === tenant ? await this.#find(name) : null;
    if (found === null) throw new CoppiceError('not-found', `there is no artifact ${name}`);
    const { bytes, sha256 } = found;
    if (offset > bytes.length) throw behindTheEnd(offset, bytes.length);
    const end = Math.min(offset + length, bytes.length);
    return {
      data: Buffer.from(bytes.subarray(offset, end)).toString('base64'),
      nextOffset: end === bytes.length ? null : end,
      totalBytes: bytes.length,
      sha256,
    };
  }

  async #find(name: string): Promise<Held | null> {
    const held = this.#held.get(name);
    if (held !== undefined) {
      this.#hold(name, held);
      return held;
    }
    const reading = this.#reading.get(name) ?? this.#inTurn(() => this.#read(name));
    this.#reading.set(name, reading);
    try {
      return await reading;
    } finally {
      this.#reading.delete(name);
    }
  }

  async #read(name: string): Promise<Held | null> {
    const store = await this.#bus.objects(bucketOfArtifact(name));
    const bytes = await store.get(name);
    if (bytes === null) return null;
    const read = { bytes, sha256: createHash('sha256').update(bytes).digest('hex') };
    this.#hold(name, read);
    return read;
  }

  #hold(name: string, held: Held): void {
    this.#held.delete(name);
    this.#held.set(name, held);
    let bytes = 0;
    for (const each of this.#held.values()) bytes += each.bytes.length;
    for (const [oldest, { bytes: gone }] of this.#held) {
      if (bytes <= artifactLimits.heldBytesMax) return;
      this.#held.delete(oldest);
      bytes -= gone.length;
    }
  }

  async #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    if (this.#readers >= artifactLimits.readsAtOnce) {
      if (this.#waiting.length >= artifactLimits.waitingMax)
        throw new CoppiceError('unavailable', `${this.#waiting.length} others wait for artifacts; ask again later`);
      // Whoever is done gives its place over.
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    } else this.#readers++;
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#readers--;
      else next();
    }
  }
}

function behindTheEnd(offset: number, totalBytes: number): CoppiceError {
  const issue = { field: 'offset', expected: `at most ${totalBytes}, which is the end`, received: String(offset) };
  const text = `${api.artifactGet.name}: offset: expected ${issue.expected}, received ${issue.received}`;
  return new CoppiceError('invalid-request', text, { details: { issues: [issue] } });
}

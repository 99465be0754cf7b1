/**
 * Serves `artifact.get`, which returns a part of an object to the tenant that owns the object.
 *
 * Invariants:
 * 1. Another tenant's artifact is reported as `not-found`.
 * 2. Memory is limited to a cache of `heldBytesMax` and `readsAtOnce` objects that are being read. The store can only
 *    read an object from its beginning, and a caller that requests one part usually requests the next. So each object
 *    that was read is cached.
 */
import { createHash } from 'node:crypto';
import type { Bus } from '@coppice/bus';
import { CoppiceError, api, bucketOfArtifact, tenantOfArtifact } from '@coppice/contracts';
import { LRUCache } from 'lru-cache';
import { Admission } from '@coppice/service';
import type { z } from 'zod';

type Request = z.output<typeof api.artifactGet.input>;
type Part = z.output<typeof api.artifactGet.output>;
type Held = { bytes: Uint8Array; sha256: string };

export const artifactLimits = {
  heldBytesMax: 64 * 1024 * 1024,
  readsAtOnce: 2,
  /** Maximum number of waiting reads. Further reads are rejected with `unavailable`. */
  waitingMax: 100,
} as const;

export class Artifacts {
  readonly #bus: Bus;
  /** Cached artifacts by name. */
  readonly #held = new LRUCache<string, Held>({
    maxSize: artifactLimits.heldBytesMax,
    // The cache rejects a size of 0.
    sizeCalculation: ({ bytes }) => Math.max(1, bytes.length),
  });
  readonly #reading = new Map<string, Promise<Held | null>>();
  readonly #reads = new Admission({
    total: artifactLimits.readsAtOnce,
    waitingMax: artifactLimits.waitingMax,
    refusal: () =>
      new CoppiceError('unavailable', `${artifactLimits.waitingMax} others wait for artifacts; ask again later`),
  });

  constructor(bus: Bus) {
    this.#bus = bus;
  }

  /** @throws CoppiceError `not-found`; `invalid-request` for an offset past the end; `unavailable` while too many reads wait */
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
    if (held !== undefined) return held;
    const reading = this.#reading.get(name) ?? this.#reads.within({}, () => this.#read(name));
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
    this.#held.set(name, read);
    return read;
  }
}

function behindTheEnd(offset: number, totalBytes: number): CoppiceError {
  const issue = { field: 'offset', expected: `at most ${totalBytes}, which is the end`, received: String(offset) };
  const text = `${api.artifactGet.name}: offset: expected ${issue.expected}, received ${issue.received}`;
  return new CoppiceError('invalid-request', text, { details: { issues: [issue] } });
}

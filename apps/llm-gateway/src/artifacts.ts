import { createHash } from 'node:crypto';
import type { Bus, ObjectStore } from '@coppice/bus';
import { buckets, inlineTextBytesMax } from '@coppice/contracts';
import type { Owner, TextReference } from '@coppice/contracts';

/** Text by value where it is small, else by the name of an object. */
export class Artifacts {
  readonly #bus: Bus;
  #store: Promise<ObjectStore> | null = null;

  constructor(bus: Bus) {
    this.#bus = bus;
  }

  /** The name comes from the content: two owners of one effect can't overwrite each other's text with another. */
  async reference(text: string, owner: Owner): Promise<TextReference> {
    const bytes = new TextEncoder().encode(text);
    if (bytes.length <= inlineTextBytesMax) return { text };
    const hash = createHash('sha256').update(bytes).digest('hex');
    const artifact = `text/${owner.tenant}/${owner.taskId}/${hash}`;
    this.#store ??= this.#bus.objects(buckets.artifacts);
    await (await this.#store).put(artifact, bytes);
    return { artifact };
  }
}

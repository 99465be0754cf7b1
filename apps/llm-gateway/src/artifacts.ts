import { createHash } from 'node:crypto';
import type { Bus, ObjectStore } from '@coppice/bus';
import { CoppiceError, buckets, inlineTextBytesMax } from '@coppice/contracts';
import type { ContentPart, ModelMessage, Owner, TextReference } from '@coppice/contracts';
import { gatewayLimits } from './limits.ts';
import type { ProviderMessage } from './provider/port.ts';

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
    const store = await this.#open();
    await store.put(artifact, bytes);
    return { artifact };
  }

  /** The messages with the texts that they hold by reference. @throws CoppiceError `not-found`, `limit-exceeded`. */
  async read(messages: readonly ModelMessage[]): Promise<ProviderMessage[]> {
    let bytesLeft: number = gatewayLimits.promptBytesMax;
    const readPart = async (part: ContentPart): Promise<ProviderMessage['content'][number]> => {
      if (part.type === 'text') return part;
      const store = await this.#open();
      const bytes = await store.get(part.artifact);
      if (bytes === null)
        throw new CoppiceError('not-found', `the prompt names ${part.artifact}, which does not exist`);
      bytesLeft -= bytes.length;
      if (bytesLeft < 0) {
        throw new CoppiceError(
          'limit-exceeded',
          `the prompt is over the limit of ${gatewayLimits.promptBytesMax} bytes`,
        );
      }
      return { type: 'text', text: new TextDecoder().decode(bytes) };
    };
    const read: ProviderMessage[] = [];
    for (const { role, content } of messages) {
      const parts: ProviderMessage['content'] = [];
      for (const part of content) parts.push(await readPart(part));
      read.push({ role, content: parts });
    }
    return read;
  }

  #open(): Promise<ObjectStore> {
    this.#store ??= this.#bus.objects(buckets.artifacts);
    return this.#store;
  }
}

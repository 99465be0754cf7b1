import { createHash } from 'node:crypto';
import type { Bus, ObjectStore } from '@coppice/bus';
import { CoppiceError, artifactNames, buckets, inlineTextBytesMax } from '@coppice/contracts';
import type { ContentPart, imageSchema, ModelMessage, Owner, TextReference } from '@coppice/contracts';
import type { z } from 'zod';
import type { ByteBudget } from './byte-budget.ts';
import type { ProviderImage, ProviderMessage, ProviderPart } from './provider/port.ts';

/** Text by value where it is small, else by the name of an object. */
export class Artifacts {
  readonly #bus: Bus;
  #store: Promise<ObjectStore> | null = null;

  constructor(bus: Bus) {
    this.#bus = bus;
  }

  /**
   * By value, if it is small and the budget has room for it. The name comes from the content: two owners of one effect can't overwrite each
   * other's text with another.
   */
  async reference(text: string, owner: Owner, inline: ByteBudget): Promise<TextReference> {
    const bytes = new TextEncoder().encode(text);
    // What counts in a message is the text as JSON: control characters take six bytes there.
    if (bytes.length <= inlineTextBytesMax && inline.tryTake(Buffer.byteLength(JSON.stringify(text)))) return { text };
    const hash = createHash('sha256').update(bytes).digest('hex');
    const artifact = artifactNames.text(owner, hash);
    const store = await this.#open();
    await store.put(artifact, bytes);
    return { artifact };
  }

  /** @throws CoppiceError `not-found`, `limit-exceeded` when the budget is used up. */
  async text(reference: TextReference, budget: ByteBudget): Promise<string> {
    if ('text' in reference) {
      budget.take(Buffer.byteLength(reference.text));
      return reference.text;
    }
    const store = await this.#open();
    const bytes = await store.get(reference.artifact);
    if (bytes === null)
      throw new CoppiceError('not-found', `the prompt names ${reference.artifact}, which does not exist`);
    budget.take(bytes.length);
    return new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);
  }

  /** The messages with the texts that they hold by reference. @throws as `text`. */
  async read(messages: readonly ModelMessage[], budget: ByteBudget): Promise<ProviderMessage[]> {
    const read: ProviderMessage[] = [];
    for (const { role, content } of messages) {
      const parts: ProviderPart[] = [];
      for (const part of content) parts.push(await this.#readPart(part, budget));
      read.push({ role, content: parts });
    }
    return read;
  }

  async #readPart(part: ContentPart, budget: ByteBudget): Promise<ProviderPart> {
    if (part.type === 'text') return { ...part, text: await this.text({ text: part.text }, budget) };
    if (part.type === 'image') return { type: 'image', image: await this.#image(part, budget) };
    if (part.type === 'thinking') return { ...part, text: await this.text(part.text, budget) };
    if (part.type === 'text-artifact')
      return { type: 'text', text: await this.text({ artifact: part.artifact }, budget) };
    if (part.type === 'tool-call') return { ...part, arguments: await this.text(part.arguments, budget) };
    const { images, ...result } = part;
    const content = await this.text(part.content, budget);
    if (images === undefined) return { ...result, content };
    const read: ProviderImage[] = [];
    for (const image of images) read.push(await this.#image(image, budget));
    return { ...result, content, images: read };
  }

  async #image({ mediaType, source }: z.output<typeof imageSchema>, budget: ByteBudget): Promise<ProviderImage> {
    if ('url' in source) return { url: source.url, ...(mediaType === undefined ? {} : { mediaType }) };
    if (mediaType === undefined) throw new CoppiceError('invalid-request', 'an image by value needs its mediaType');
    const reference = 'base64' in source ? { text: source.base64 } : source;
    return { mediaType, base64: await this.text(reference, budget) };
  }

  #open(): Promise<ObjectStore> {
    this.#store ??= this.#bus.objects(buckets.artifacts);
    return this.#store;
  }
}

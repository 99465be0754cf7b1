/**
 * Stores and loads texts. Small texts are inline. Larger ones are objects in the artifact store, which messages
 * reference by name.
 *
 * Invariants:
 * 1. The process reads at most `artifactReadsAtOnce` objects at a time. If data arrived faster than the process reads
 * it, its NATS connection would break. Reads are admitted fairly among tenants, and among the tasks of a tenant.
 * 2. An object is read only if the budget has room for all of it.
 * 3. If one request references an object several times, the object is read once, but its bytes count each time.
 */
import { createHash } from 'node:crypto';
import { untilAnswered } from '@coppice/bus';
import type { Bus, ObjectStore } from '@coppice/bus';
import { CoppiceError, artifactNames, buckets, inlineTextBytesMax } from '@coppice/contracts';
import type { ContentPart, imageSchema, ModelMessage, Owner, TextReference } from '@coppice/contracts';
import { Admission } from '@coppice/service';
import type { z } from 'zod';
import type { ByteBudget } from './byte-budget.ts';
import { gatewayLimits } from './limits.ts';

import type { ProviderImage, ProviderMessage, ProviderPart } from './provider/port.ts';

export type Reading = {
  owner: Pick<Owner, 'tenant' | 'taskId'>;
  budget: ByteBudget;
  signal: AbortSignal;
};

type Found = Map<string, { text: string; bytes: number }>;

export class Artifacts {
  readonly #bus: Bus;
  readonly #places = new Admission({
    total: gatewayLimits.artifactReadsAtOnce,
    waitingMax: gatewayLimits.artifactReadsWaitingMax,
    refusal: () => new CoppiceError('provider-limited', 'too many calls wait for artifacts'),
  });
  #store: Promise<ObjectStore> | null = null;

  constructor(bus: Bus) {
    this.#bus = bus;
  }

  /**
   * Returns the text inline if it is small and the budget has room for it, else stores it. Two processes may run the
   * same effect. The object's name is derived from the content, so they can't overwrite each other's text.
   */
  async reference(text: string, owner: Owner, inline: ByteBudget, signal?: AbortSignal): Promise<TextReference> {
    const bytes = new TextEncoder().encode(text);
    // The message contains the text as JSON, where a control character takes six bytes.
    if (bytes.length <= inlineTextBytesMax && inline.tryTake(Buffer.byteLength(JSON.stringify(text)))) return { text };
    const hash = createHash('sha256').update(bytes).digest('hex');
    const artifact = artifactNames.text(owner, hash);
    await untilAnswered(async () => (await this.#open()).put(artifact, bytes), signal);
    return { artifact };
  }

  /**
   * @throws CoppiceError `not-found`, `unavailable`, `limit-exceeded` if the budget is used up, or `provider-limited`
   * if too many reads wait. Also the signal's reason.
   */
  async text(reference: TextReference, reading: Reading): Promise<string> {
    return this.#text(reference, reading, new Map());
  }

  /**
   * Loads the texts that the messages reference.
   * @throws as `text`.
   */
  async read(messages: readonly ModelMessage[], reading: Reading): Promise<ProviderMessage[]> {
    const found: Found = new Map();
    const text = (reference: TextReference) => this.#text(reference, reading, found);
    const read: ProviderMessage[] = [];
    for (const { role, content } of messages) {
      const parts: ProviderPart[] = [];
      for (const part of content) parts.push(await readPart(part, text));
      read.push({ role, content: parts });
    }
    return read;
  }

  async #text(reference: TextReference, reading: Reading, found: Found): Promise<string> {
    if ('text' in reference) {
      reading.budget.take(Buffer.byteLength(reference.text));
      return reference.text;
    }
    const { artifact } = reference;
    const before = found.get(artifact);
    if (before !== undefined) {
      reading.budget.take(before.bytes);
      return before.text;
    }
    const bytes = await this.#object(artifact, reading);
    const text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);
    found.set(artifact, { text, bytes: bytes.length });
    return text;
  }

  async #object(name: string, { owner, budget, signal }: Reading): Promise<Uint8Array> {
    return this.#places.within({ group: owner.tenant, line: owner.taskId, signal }, async () => {
      const object = await (await this.#open()).find(name);
      if (object === null) throw new CoppiceError('not-found', `the prompt names ${name}, which does not exist`);
      budget.take(object.size);
      return object.read(signal);
    });
  }

  #open(): Promise<ObjectStore> {
    this.#store ??= this.#bus.objects(buckets.artifacts).catch((error: unknown) => {
      // A later read tries again.
      this.#store = null;
      throw error;
    });
    return this.#store;
  }
}

type ReadText = (reference: TextReference) => Promise<string>;

async function readPart(part: ContentPart, text: ReadText): Promise<ProviderPart> {
  if (part.type === 'text') return { ...part, text: await text({ text: part.text }) };
  if (part.type === 'image') return { type: 'image', image: await readImage(part, text) };
  if (part.type === 'thinking') return { ...part, text: await text(part.text) };
  if (part.type === 'text-artifact') return { type: 'text', text: await text({ artifact: part.artifact }) };
  if (part.type === 'tool-call') return { ...part, arguments: await text(part.arguments) };
  const { images, ...result } = part;
  const content = await text(part.content);
  if (images === undefined) return { ...result, content };
  const read: ProviderImage[] = [];
  for (const image of images) read.push(await readImage(image, text));
  return { ...result, content, images: read };
}

async function readImage({ mediaType, source }: z.output<typeof imageSchema>, text: ReadText): Promise<ProviderImage> {
  if ('url' in source) return { url: source.url, ...(mediaType === undefined ? {} : { mediaType }) };
  if (mediaType === undefined) throw new CoppiceError('invalid-request', 'an image by value needs its mediaType');
  return { mediaType, base64: await text('base64' in source ? { text: source.base64 } : source) };
}

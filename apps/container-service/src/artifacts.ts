import { createHash } from 'node:crypto';
import { untilAnswered, type Bus } from '@coppice/bus';
import { artifactNames, buckets, CoppiceError, type Owner, type TextReference } from '@coppice/contracts';

/**
 * Reads a text, inline or from the artifact store.
 * @throws CoppiceError `not-found`, or `limit-exceeded` if the artifact has more than `bytesMax` bytes
 */
export async function bytesOf(bus: Bus, reference: TextReference, bytesMax = Infinity): Promise<Uint8Array> {
  if ('text' in reference) return Buffer.from(reference.text);
  return untilAnswered(async () => {
    const object = await (await bus.objects(buckets.artifacts)).find(reference.artifact);
    if (object === null) throw new CoppiceError('not-found', `there is no artifact ${reference.artifact}`);
    if (object.size > bytesMax) throw new CoppiceError('limit-exceeded', `${object.size} bytes, at most ${bytesMax}`);
    return object.read();
  });
}

/** Stores a command's whole output and returns the artifact's name. */
export async function storeLog(bus: Bus, owner: Owner, effectId: string, bytes: Uint8Array): Promise<string> {
  const artifact = artifactNames.log(owner, effectId, hashOf(bytes).slice(0, 16));
  await put(bus, artifact, bytes);
  return artifact;
}

/** Stores a text under the hash of its content and returns the artifact's name. */
export async function storeText(bus: Bus, owner: Owner, text: string): Promise<string> {
  const bytes = Buffer.from(text);
  const artifact = artifactNames.text(owner, hashOf(bytes));
  await put(bus, artifact, bytes);
  return artifact;
}

async function put(bus: Bus, artifact: string, bytes: Uint8Array): Promise<void> {
  // Retries until the bus answers, since this process has the only copy of the bytes.
  await untilAnswered(async () => (await bus.objects(buckets.artifacts)).put(artifact, bytes));
}

const hashOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

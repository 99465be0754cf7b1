/** Reads artifacts, which are large texts and whole logs. Messages contain only their names. */
import { createHash } from 'node:crypto';
import { CoppiceError, api } from '@coppice/contracts';
import type { ApiClient } from './api-client.ts';
import { ask } from './ask.ts';

/** Returns null if the artifact no longer exists. @throws CoppiceError `internal` if the SHA-256 doesn't match */
export async function readArtifact(client: ApiClient, name: string): Promise<Uint8Array | null> {
  const parts: Buffer[] = [];
  const hash = createHash('sha256');
  for (let offset = 0; ;) {
    const part = await partOf(client, name, offset);
    if (part === null) return null;
    const bytes = Buffer.from(part.data, 'base64');
    parts.push(bytes);
    hash.update(bytes);
    if (part.nextOffset === null) {
      if (hash.digest('hex') === part.sha256) return Buffer.concat(parts);
      throw new CoppiceError('internal', `${name}: the content received doesn't have the SHA-256 it was stored with`);
    }
    offset = part.nextOffset;
  }
}

async function partOf(client: ApiClient, name: string, offset: number) {
  try {
    return await ask(client, api.artifactGet, { name, offset });
  } catch (error) {
    if (error instanceof CoppiceError && error.code === 'not-found') return null;
    throw error;
  }
}

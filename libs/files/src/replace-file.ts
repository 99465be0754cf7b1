import { randomUUID } from 'node:crypto';
import { readFile, rename, unlink, writeFile } from 'node:fs/promises';

/**
 * Replaces a file atomically: readers see either the old content or the new content. If the file already has the content, nothing is written,
 * so that a full disk causes no error.
 */
export async function replaceFile(path: string, content: string | Uint8Array): Promise<void> {
  // If the file is missing or can't be read, it is written. If that fails too, the error is thrown.
  const present = await readFile(path).catch(() => null);
  if (present?.equals(Buffer.from(content)) === true) return;
  const draft = `${path}.${randomUUID()}`;
  try {
    await writeFile(draft, content, { mode: 0o644 });
    await rename(draft, path);
  } catch (error) {
    // This error is ignored, since the draft may not exist. The error that is thrown below is the cause.
    await unlink(draft).catch(() => undefined);
    throw error;
  }
}

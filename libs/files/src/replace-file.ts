import { randomUUID } from 'node:crypto';
import { readFile, rename, unlink, writeFile } from 'node:fs/promises';

/**
 * Replaces a file atomically: readers see either the old content or the new. A file that already has the content is not written,
 * so that a full disk causes no error in that case.
 */
export async function replaceFile(path: string, content: string | Uint8Array): Promise<void> {
  // A missing or unreadable file is written, which then reports the error, if any.
  const present = await readFile(path).catch(() => null);
  if (present?.equals(Buffer.from(content)) === true) return;
  const draft = `${path}.${randomUUID()}`;
  try {
    await writeFile(draft, content, { mode: 0o644 });
    await rename(draft, path);
  } catch (error) {
    // The draft may not exist; the error below is the cause.
    await unlink(draft).catch(() => undefined);
    throw error;
  }
}

import { randomUUID } from 'node:crypto';
import { readFile, rename, unlink, writeFile } from 'node:fs/promises';

/**
 * Replaces a file atomically: readers see the old content or the new. A file that already has the content is not written, so that
 * a full disk causes no error then.
 */
export async function replaceFile(path: string, content: string | Uint8Array): Promise<void> {
  // If the file is missing or unreadable, it is written, and that reports any error.
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

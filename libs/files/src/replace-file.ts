import { randomUUID } from 'node:crypto';
import { readFile, rename, unlink, writeFile } from 'node:fs/promises';

/**
 * Replaces a file atomically. If the file already has the content, nothing is written, so that a full disk causes no
 * error.
 */
export async function replaceFile(path: string, content: string | Uint8Array): Promise<void> {
  // A file that is missing or can't be read is written. An error of that write is thrown.
  const present = await readFile(path).catch(() => null);
  if (present?.equals(Buffer.from(content)) === true) return;
  const draft = `${path}.${randomUUID()}`;
  try {
    await writeFile(draft, content, { mode: 0o644 });
    await rename(draft, path);
  } catch (error) {
    // The draft may not exist. The caller gets the error of the write.
    await unlink(draft).catch(() => undefined);
    throw error;
  }
}

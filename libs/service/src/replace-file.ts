import { randomUUID } from 'node:crypto';
import { readFile, rename, unlink, writeFile } from 'node:fs/promises';

/**
 * Writes a file that others may be reading: they find the old content or the new, never a part. A file that has the content already is left as it is, so
 * that a full disk doesn't matter then.
 */
export async function replaceFile(path: string, content: string | Uint8Array): Promise<void> {
  // Missing or unreadable: writing it reports what is wrong.
  const present = await readFile(path).catch(() => null);
  if (present?.equals(Buffer.from(content)) === true) return;
  const draft = `${path}.${randomUUID()}`;
  try {
    await writeFile(draft, content, { mode: 0o644 });
    await rename(draft, path);
  } catch (error) {
    // It may not have been made; the error that is thrown is the cause.
    await unlink(draft).catch(() => undefined);
    throw error;
  }
}

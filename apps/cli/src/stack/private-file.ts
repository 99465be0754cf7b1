import { readFileSync, renameSync, writeFileSync } from 'node:fs';

const ownerOnly = 0o600;

/** Writes a file that only its user reads; whoever reads it sees the old content or the new, never a part. */
export function writePrivateFile(file: string, text: string): void {
  const temporary = `${file}.${process.pid}`;
  writeFileSync(temporary, text, { mode: ownerOnly });
  renameSync(temporary, file);
}

/** The parsed content, or null where the file is missing or isn't JSON. */
export function readJsonFile(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

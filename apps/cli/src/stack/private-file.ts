import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { CliError } from '../errors.ts';
import { exitCodes } from '../exit-codes.ts';

const ownerOnly = 0o600;
const everybody = 0o644;

/** Writes a file that only its user reads (unless it is `readable`); whoever reads it sees the old content or the new, never a part. */
export function writePrivateFile(file: string, text: string, options: { readable?: boolean } = {}): void {
  const temporary = `${file}.${process.pid}`;
  writeFileSync(temporary, text, { mode: options.readable === true ? everybody : ownerOnly });
  renameSync(temporary, file);
}

/** The parsed content, or null where the file is missing or isn't JSON. @throws CliError where it may not be read. */
export function readJsonFile(file: string): unknown {
  const text = readTextFile(file);
  if (text === null) return null;
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** The content, or null where the file is missing. @throws CliError where it may not be read. */
export function readTextFile(file: string): string | null {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return null;
    throw new CliError(exitCodes.badInput, `${file} can't be read: ${message}`, { cause: error });
  }
}

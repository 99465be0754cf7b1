import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { CliError } from '../errors.ts';
import { exitCodes } from '../exit-codes.ts';

const ownerOnly = 0o600;
const everybody = 0o644;

/**
 * Writes a file atomically, so a reader sees either the old or the new content. Only the owner can read the file,
 * unless `readable` is true.
 */
export function writePrivateFile(file: string, text: string, options: { readable?: boolean } = {}): void {
  const temporary = `${file}.${process.pid}`;
  writeFileSync(temporary, text, { mode: options.readable === true ? everybody : ownerOnly });
  renameSync(temporary, file);
}

/** Returns null if the file is missing or isn't JSON. @throws CliError if the file can't be read */
export function readJsonFile(file: string): unknown {
  const text = readTextFile(file);
  if (text === null) return null;
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** Returns null if the file is missing. @throws CliError if the file can't be read */
export function readTextFile(file: string): string | null {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return null;
    throw new CliError(exitCodes.badInput, `${file} can't be read: ${message}`, { cause: error });
  }
}

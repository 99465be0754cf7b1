import { readFile, realpath, stat } from 'node:fs/promises';
import path from 'node:path';
import { readFields } from '@coppice/bus';
import { runFileSchema, runLimits } from '@coppice/contracts';
import { CliError } from '../errors.ts';
import { exitCodes } from '../exit-codes.ts';
import { completeRun } from './complete.ts';
import type { LoadOptions, LoadedRun } from './complete.ts';
import { readSource } from './source.ts';

/** Limit in bytes of the file, including comments and whitespace. */
const fileBytesMax = 4 * runLimits.requestBytesMax;

/**
 * Reads, checks and completes a run file.
 * @throws CliError with file, line, column, field, expected and received value
 */
export async function loadRunFile(file: string, options: LoadOptions): Promise<LoadedRun> {
  const source = readSource(await readText(file), file);
  const parsed = readFields(runFileSchema, source.value);
  if (!parsed.success) throw source.complain(parsed.issues);
  return completeRun(parsed.data, path.dirname(await realpath(file)), source, options);
}

async function readText(file: string): Promise<Uint8Array> {
  try {
    const { size } = await stat(file);
    if (size <= fileBytesMax) return await readFile(file);
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    const reason = code === 'ENOENT' ? 'there is no such file' : code === 'EISDIR' ? 'it is a folder' : message;
    throw new CliError(exitCodes.badInput, `${file}: ${reason}`, { cause });
  }
  throw new CliError(exitCodes.badInput, `${file}: a run file has at most ${fileBytesMax} bytes`);
}

import { execFile } from 'node:child_process';
import { lstatSync, readdirSync, type Stats } from 'node:fs';
import { promisify } from 'node:util';
import { CoppiceError } from '@coppice/contracts';
import { byteString, bytesOf } from '../folders.ts';

const run = promisify(execFile);
const copyTimeMs = 9 * 60_000;
/** Number of names per call of cp. It keeps the arguments far below the system's limit. */
const namesPerCall = 500;

/**
 * Copies a sealed folder into a new checkout. Follows no symbolic link and replaces no file of the checkout. Preserves
 * owner, mode and times. If the file system supports it, copies share blocks with their originals.
 */
export async function copyInto(source: string, target: string, signal?: AbortSignal): Promise<void> {
  const pending = [''];
  for (let relative = pending.pop(); relative !== undefined; relative = pending.pop()) {
    const from = join(byteString(source), relative);
    const to = join(byteString(target), relative);
    const absent: string[] = [];
    for (const entry of readdirSync(bytesOf(from), { encoding: 'buffer', withFileTypes: true })) {
      const name = entry.name.toString('latin1');
      const there = lstatOrUndefined(join(to, name));
      if (there === undefined) absent.push(name);
      else if (there.isDirectory() && entry.isDirectory()) pending.push(relative === '' ? name : `${relative}/${name}`);
    }
    await copyAll(from, to, absent, signal);
  }
}

async function copyAll(from: string, to: string, names: string[], signal: AbortSignal | undefined): Promise<void> {
  const options = process.platform === 'linux' ? ['-a', '--reflink=auto'] : ['-a'];
  // Node passes arguments as text, so a name that isn't UTF-8 can't be an argument. An entry with such a name is copied
  // only if its whole folder is copied.
  const texts = names
    .map((name) => ({ name, text: bytesOf(name).toString('utf8') }))
    .filter(({ name, text }) => byteString(text) === name);
  const folder = bytesOf(from).toString('utf8');
  for (let index = 0; index < texts.length; index += namesPerCall) {
    const sources = texts.slice(index, index + namesPerCall).map(({ text }) => `${folder}/${text}`);
    await run('cp', [...options, '--', ...sources, `${bytesOf(to).toString('utf8')}/`], {
      timeout: copyTimeMs,
      env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin', LC_ALL: 'C' },
      ...(signal === undefined ? {} : { signal }),
    }).catch((error: unknown) => {
      throw new CoppiceError('internal', `copying what setup left failed: ${String(error).slice(0, 500)}`, {
        cause: error,
      });
    });
  }
}

const join = (folder: string, name: string): string => (name === '' ? folder : `${folder}/${name}`);

function lstatOrUndefined(path: string): Stats | undefined {
  return lstatSync(bytesOf(path), { throwIfNoEntry: false });
}

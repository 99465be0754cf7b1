import { readFileSync } from 'node:fs';
import path from 'node:path';

/** Returns the value of `--engine` for this machine. This is `auto` if set-up found an engine, and otherwise `none`. */
export function sandboxes(): 'auto' | 'none' {
  const file = path.resolve(import.meta.dirname, '../../.cache/setup.json');
  const { engine } = JSON.parse(readFileSync(file, 'utf8')) as { engine: string };
  return engine === 'none' ? 'none' : 'auto';
}

import { readFileSync } from 'node:fs';
import path from 'node:path';

/** Returns the value of `--engine`, which is `none` if set-up found no engine. */
export function sandboxes(): 'auto' | 'none' {
  const file = path.resolve(import.meta.dirname, '../../.cache/setup.json');
  const { engine } = JSON.parse(readFileSync(file, 'utf8')) as { engine: string };
  return engine === 'none' ? 'none' : 'auto';
}

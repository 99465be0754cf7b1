import { readFileSync } from 'node:fs';
import path from 'node:path';

/** What to ask the command line for: the engine that set-up found, or none where it found none. */
export function sandboxes(): 'auto' | 'none' {
  const file = path.resolve(import.meta.dirname, '../../.cache/setup.json');
  const { engine } = JSON.parse(readFileSync(file, 'utf8')) as { engine: string };
  return engine === 'none' ? 'none' : 'auto';
}

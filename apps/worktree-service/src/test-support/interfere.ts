import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, vi } from 'vitest';
import type { Fixture } from './fixture.ts';

/** Words in the git command that fast-forwards a user's checkout. */
export const mergeWords = 'merge --quiet --ff-only';

/** Replaces git by a wrapper. The wrapper runs the script once, right before or after the first git command that contains these words. */
export function interfere(f: Fixture, words: string, script: string, when: 'before' | 'after' = 'before'): Disposable {
  const folder = join(f.repository.path, '../interference');
  const real = execFileSync('sh', ['-c', 'command -v git'], { encoding: 'utf8' }).trim();
  mkdirSync(folder);
  chmodSync(join(folder, '..'), 0o755);
  const clean = 'unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE';
  const once = `if mkdir '${folder}/done' 2>/dev/null; then (${clean}; cd '${f.repository.path}'; ${script}) >/dev/null 2>'${folder}/errors' </dev/null; fi`;
  const lines = when === 'before' ? `${once}; exec '${real}' "$@"` : `'${real}' "$@"; code=$?; ${once}; exit $code`;
  const program = `#!/bin/sh\nPATH='${process.env['PATH'] ?? ''}'\ncase " $* " in *' ${words} '*) ${lines};; esac\nexec '${real}' "$@"\n`;
  writeFileSync(join(folder, 'git'), program);
  chmodSync(join(folder, 'git'), 0o755);
  vi.stubEnv('PATH', `${folder}:${process.env['PATH'] ?? ''}`);
  return {
    [Symbol.dispose]: () => {
      vi.unstubAllEnvs();
      expect(existsSync(join(folder, 'done'))).toBe(true);
      expect(readFileSync(join(folder, 'errors'), 'utf8')).toBe('');
      rmSync(folder, { recursive: true });
    },
  };
}

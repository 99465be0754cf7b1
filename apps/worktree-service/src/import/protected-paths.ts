import picomatch from 'picomatch';
import { printable, textOf } from './path-rules.ts';

const protectedPathsMax = 50;
const options = { dot: true, nocase: true } as const;

/**
 * The paths (byte strings) that a pattern protects, printable, at most 50. As in .gitignore, a pattern without a slash stands for a name at
 * any depth, and so for all that lies in a folder of that name. Letters match in either case: some file systems know no other.
 */
export function protectedAmong(paths: readonly string[], protect: readonly string[]): string[] {
  if (protect.length === 0) return [];
  const names = picomatch(
    protect.filter((pattern) => !pattern.includes('/')),
    options,
  );
  const whole = picomatch(
    protect.filter((pattern) => pattern.includes('/')),
    options,
  );
  return paths
    .filter((path) => {
      const text = textOf(path) ?? path;
      return whole(text) || text.split('/').some((name) => names(name));
    })
    .slice(0, protectedPathsMax)
    .map(printable);
}

import { createHash } from 'node:crypto';
import picomatch from 'picomatch';
import { printable, textOf } from './path-rules.ts';

const protectedPathsMax = 50;
const digestCharacters = 16;
export const matchOptions = { dot: true, nocase: true } as const;

/**
 * The paths (byte strings) that a pattern protects, printable. Only 50 are named; the last entry then tells how many there are more, with a digest
 * of them: whoever approved some has not approved others that are as many. As in .gitignore, a pattern without a slash stands for a name at
 * any depth, and so for all that lies in a folder of that name. Letters match in either case: some file systems know no other.
 * @param targets what the protected paths lead to by links; see protected-links.ts
 */
export function protectedAmong(
  paths: readonly string[],
  protect: readonly string[],
  targets: ReadonlySet<string> = new Set(),
): string[] {
  if (protect.length === 0) return [];
  const patterns = protect.map(bounded);
  const names = picomatch(
    patterns.filter((pattern) => !pattern.includes('/')),
    matchOptions,
  );
  const whole = picomatch(
    patterns.filter((pattern) => pattern.includes('/')),
    matchOptions,
  );
  const found = paths.filter((path) => {
    const text = textOf(path) ?? path;
    return whole(text) || text.split('/').some((name) => names(name)) || isBeneath(text.toLowerCase(), targets);
  });
  const rest = found.slice(protectedPathsMax);
  const more = rest.length === 0 ? [] : [`and ${rest.length} more (${digestOf(rest)})`];
  return [...found.slice(0, protectedPathsMax).map(printable), ...more];
}

function isBeneath(path: string, folders: ReadonlySet<string>): boolean {
  if (folders.size === 0) return false;
  for (let end = path.length; end > 0; end = path.lastIndexOf('/', end - 1))
    if (folders.has(path.slice(0, end))) return true;
  return false;
}

/** More of them in one part of a path, or more `**` in a pattern, take picomatch exponential time on a path made for it. */
const starsMax = 3;
const globstarsMax = 2;

/**
 * A pattern that is matched quickly and protects at least what the given one does: a part with too many stars, or with a repeated group, becomes `*`, and
 * with too many `**` the last of those that are allowed stands for all that follows.
 */
export function bounded(pattern: string): string {
  const parts: string[] = [];
  let globstars = 0;
  for (const part of pattern.split('/')) {
    if (part === '**' && ++globstars > globstarsMax) return parts.slice(0, parts.lastIndexOf('**') + 1).join('/');
    const isCostly = part !== '**' && (part.split('*').length - 1 > starsMax || /[*+]\(/.test(part));
    parts.push(isCostly ? '*' : part);
  }
  return parts.join('/');
}

const digestOf = (paths: readonly string[]): string =>
  createHash('sha256').update(paths.join('\0'), 'latin1').digest('hex').slice(0, digestCharacters);

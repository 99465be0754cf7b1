/**
 * Where protected paths lead to by symbolic links of the tree that a change starts from. What a link named `verify.sh` points to is what runs.
 *
 * Not followed: links that leave the repository, links that only a wildcard with a slash matches, and links inside of a protected folder.
 */
import picomatch from 'picomatch';
import type { Context } from '../context.ts';
import type { Store } from '../repository/store.ts';
import { listTree } from '../worktree/checkout.ts';
import { textOf } from './path-rules.ts';
import { bounded, matchOptions, protectedAmong } from './protected-paths.ts';

/** As Linux: a longer chain of links can't be opened. */
const hopsMax = 40;

/** The paths (byte strings) that the patterns protect, also by links of the tree `base`; see protectedAmong. */
export async function protectedSince(
  context: Context,
  store: Store,
  parts: { base: string; paths: readonly string[]; protect: readonly string[]; signal?: AbortSignal | undefined },
): Promise<string[]> {
  const { base, paths, protect, signal } = parts;
  if (protect.length === 0 || paths.length === 0) return [];
  const links = await symlinksOf(context, store, base, signal);
  return protectedAmong(paths, protect, linkTargets(protect, links));
}

/** The targets of a tree's symbolic links, by path. Both are text; bytes where they aren't UTF-8. */
async function symlinksOf(
  context: Context,
  store: Store,
  tree: string,
  signal?: AbortSignal,
): Promise<Map<string, string>> {
  const links = [...(await listTree(context, store, tree, signal))].filter(([, { mode }]) => mode === '120000');
  if (links.length === 0) return new Map();
  const input = links.map(([, { objectId }]) => `${objectId}\n`).join('');
  const { stdout } = await context.git.run(['cat-file', '--batch'], { ...store.tasks, input, signal });
  const targets = new Map<string, string>();
  let offset = 0;
  for (const [path] of links) {
    const start = stdout.indexOf('\n', offset) + 1;
    const bytes = Number(stdout.toString('latin1', offset, start).trim().split(' ')[2]);
    const target = stdout.toString('latin1', start, start + bytes);
    targets.set(textOf(path) ?? path, textOf(target) ?? target);
    offset = start + bytes + 1;
  }
  return targets;
}

/**
 * The links on the way of the protected paths, and where they lead to, in lower case. Each stands for itself and all that lies beneath it.
 * @param links their targets by path
 */
export function linkTargets(protect: readonly string[], links: ReadonlyMap<string, string>): Set<string> {
  const byPath = new Map([...links].map(([path, target]) => [path.toLowerCase(), target.toLowerCase()]));
  const isNamed = picomatch(protect.filter((pattern) => !pattern.includes('/')).map(bounded), matchOptions);
  const named = [...byPath.keys()].filter((path) => isNamed(path.slice(path.lastIndexOf('/') + 1)));
  const starts = protect.filter((pattern) => pattern.includes('/')).map((pattern) => plainStart(pattern.toLowerCase()));
  const found = [...named, ...starts].map((path) => follow(path, byPath)).filter((passed) => passed.length > 0);
  return new Set(found.flat());
}

/** The parts of a pattern before the first that has a wildcard. */
function plainStart(pattern: string): string {
  const parts = pattern.split('/');
  const end = parts.findIndex((part) => /[*?[\]{}()!+@\\]/.test(part));
  return (end === -1 ? parts : parts.slice(0, end)).join('/');
}

/** The links that a path leads through, and its end, if that lies in the repository. Empty where there is no link. */
function follow(path: string, links: ReadonlyMap<string, string>): string[] {
  const passed: string[] = [];
  const at: string[] = [];
  const parts = path.split('/').toReversed();
  for (let part = parts.pop(); part !== undefined; part = parts.pop()) {
    if (part === '' || part === '.') continue;
    if (part === '..') {
      if (at.pop() === undefined) return passed;
      continue;
    }
    at.push(part);
    const here = at.join('/');
    const target = links.get(here);
    if (target === undefined) continue;
    passed.push(here);
    if (passed.length > hopsMax || target.startsWith('/')) return passed;
    parts.push(...target.split('/').toReversed());
    at.pop();
  }
  return passed.length === 0 || at.length === 0 ? passed : [...passed, at.join('/')];
}

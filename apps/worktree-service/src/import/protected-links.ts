/**
 * Finds the files that protected paths lead to through symbolic links, in the tree before a change. If `verify.sh` is a
 * link, its target runs, so the target needs protection too.
 *
 * Three kinds of links aren't followed: links that leave the repository, links that only a wildcard with a slash
 * matches, and links inside a protected folder.
 */
import { CoppiceError } from '@coppice/contracts';
import type { StepBudget } from '@coppice/service';
import type { Context } from '../context.ts';
import type { Store } from '../repository/store.ts';
import { listTree } from '../worktree/checkout.ts';
import { textOf } from './path-rules.ts';
import { stepBudgetOf } from './plan.ts';
import { ProtectPatterns } from './protect-patterns.ts';
import { listed, protectedAmong } from './protected-paths.ts';

/** Limits of Linux for chains of links and for paths. */
const hopsMax = 40;
const pathCharactersMax = 4_096;

/**
 * Lists the changed paths that the patterns protect, directly or through links of the tree `base`, formatted for a
 * person. If this takes more steps than an import may take, returns all paths. `paths` are byte strings.
 */
export async function protectedSince(
  context: Context,
  store: Store,
  parts: { base: string; paths: readonly string[]; protect: readonly string[]; signal?: AbortSignal | undefined },
): Promise<string[]> {
  const { base, paths, protect, signal } = parts;
  if (protect.length === 0 || paths.length === 0) return [];
  const links = await symlinksOf(context, store, base, signal);
  const budget = stepBudgetOf(context.importLimits, signal);
  try {
    const patterns = new ProtectPatterns(protect, budget);
    return listed(await protectedAmong(paths, patterns, budget, await linkTargets(patterns, links, budget)));
  } catch (error) {
    if (error instanceof CoppiceError && error.code === 'limit-exceeded') return listed(paths);
    throw error;
  }
}

/** Reads the targets of a tree's symbolic links, by path. A path or target that isn't UTF-8 is a byte string. */
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
 * Finds the links that protected paths lead through, and the final targets, in lower case. Everything below a result is
 * protected too. Paths are followed both as written and in lower case. On file systems that ignore case, a link `Tools`
 * also redirects `tools/verify.sh`. `links` contains link targets by path.
 */
export async function linkTargets(
  patterns: ProtectPatterns,
  links: ReadonlyMap<string, string>,
  budget: StepBudget,
): Promise<Set<string>> {
  const found = new Set<string>();
  if (links.size === 0) return found;
  const lowerCase = new Map([...links].map(([path, target]) => [path.toLowerCase(), target.toLowerCase()]));
  const followBoth = (path: string) => {
    for (const passed of follow(path, links, budget)) found.add(passed.toLowerCase());
    for (const passed of follow(path.toLowerCase(), lowerCase, budget)) found.add(passed);
  };
  for (const start of patterns.starts) {
    if (budget.due) await budget.yield();
    followBoth(start);
  }
  for (const path of links.keys()) {
    budget.spend(path.length);
    if (budget.due) await budget.yield();
    if (await patterns.matchesName(path.slice(path.lastIndexOf('/') + 1).toLowerCase())) followBoth(path);
  }
  return found;
}

/**
 * Lists the links that a path leads through and, if it is in the repository, the final target. Empty if the path leads
 * through no link.
 */
function follow(path: string, links: ReadonlyMap<string, string>, budget: StepBudget): string[] {
  const passed: string[] = [];
  let here = '';
  const parts = path.split('/').toReversed();
  for (let part = parts.pop(); part !== undefined; part = parts.pop()) {
    if (part === '' || part === '.') continue;
    const folder = here;
    if (part === '..') {
      if (folder === '') return passed;
      here = parentOf(folder);
      continue;
    }
    here = folder === '' ? part : `${folder}/${part}`;
    budget.spend(here.length);
    if (here.length > pathCharactersMax) return passed;
    const target = links.get(here);
    if (target === undefined) continue;
    passed.push(here);
    if (passed.length > hopsMax || target.startsWith('/')) return passed;
    parts.push(...target.split('/').toReversed());
    here = folder;
  }
  return passed.length === 0 || here === '' ? passed : [...passed, here];
}

const parentOf = (path: string): string => path.slice(0, Math.max(path.lastIndexOf('/'), 0));

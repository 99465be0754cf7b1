import { createHash } from 'node:crypto';
import type { StepBudget } from '@coppice/service';
import { printable, textOf } from './path-rules.ts';
import type { ProtectPatterns } from './protect-patterns.ts';

const protectedPathsMax = 50;
const digestCharacters = 16;

/**
 * Selects the paths (byte strings) that a pattern protects. As in .gitignore, a pattern without a slash matches a name
 * at any depth. If the pattern matches a folder, everything in the folder is protected. Matching ignores case, as some
 * file systems do.
 * @param targets files and folders that protected paths lead to through links, in lower case; see protected-links.ts
 * @throws limit-exceeded if `budget` has no steps left
 */
export async function protectedAmong(
  paths: readonly string[],
  patterns: ProtectPatterns,
  budget: StepBudget,
  targets: ReadonlySet<string> = new Set(),
): Promise<string[]> {
  const folders = foldersOf(targets);
  const found: string[] = [];
  for (const path of paths) {
    budget.spend(path.length);
    if (budget.due) await budget.yield();
    const names = (textOf(path) ?? path).toLowerCase().split('/');
    if (isBeneath(names, folders) || (await patterns.matches(names))) found.push(path);
  }
  return found;
}

/**
 * Formats paths for a person. After 50 paths, one entry gives the number and a digest of the others. Because of the
 * digest, an approval doesn't apply to another set of the same size.
 */
export function listed(paths: readonly string[]): string[] {
  const rest = paths.slice(protectedPathsMax);
  const more = rest.length === 0 ? [] : [`and ${rest.length} more (${digestOf(rest)})`];
  return [...paths.slice(0, protectedPathsMax).map(printable), ...more];
}

type Folder = { isTarget: boolean; inner: Map<string, Folder> };

function foldersOf(targets: ReadonlySet<string>): Folder {
  const root: Folder = { isTarget: false, inner: new Map() };
  for (const target of targets) {
    let folder = root;
    for (const name of target.split('/')) {
      const inner = folder.inner.get(name) ?? { isTarget: false, inner: new Map<string, Folder>() };
      folder.inner.set(name, inner);
      folder = inner;
    }
    folder.isTarget = true;
  }
  return root;
}

function isBeneath(names: readonly string[], root: Folder): boolean {
  let folder: Folder | undefined = root;
  for (const name of names) {
    folder = folder.inner.get(name);
    if (folder === undefined) return false;
    if (folder.isTarget) return true;
  }
  return false;
}

const digestOf = (paths: readonly string[]): string =>
  createHash('sha256').update(paths.join('\0'), 'latin1').digest('hex').slice(0, digestCharacters);

import { randomUUID } from 'node:crypto';
import { existsSync, lstatSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { CoppiceError } from '@coppice/contracts';
import type { Context } from '../context.ts';
import { byteString, moveAway } from '../folders.ts';
import { FolderHandle } from '../import/folder-handle.ts';
import { isGitName } from '../import/path-rules.ts';
import { StepBudget } from '@coppice/service';

const keptFoldersMax = 1_000;
/** Maximum depth of the walk, since each level keeps a descriptor open. */
const depthMax = 100;
const nameBytesMax = 255;
const stepsPerEntry = 100;
const ownerAll = 0o700;

/**
 * Keeps a task's worktree as a folder under the next free number, and returns its path. The kept folder must not
 * contain a repository, since git in that folder would run hooks and settings that an agent wrote. So each `.git` is
 * renamed to `.git.disabled`, and the `HEAD` of each bare repository to `HEAD.disabled`. If the new name is taken or
 * too long, `<uuid>.disabled` is used. Folders nested more than 100 levels deep are moved to the top as `moved.<n>`. No
 * symbolic link is followed.
 */
export async function keepFolder(
  context: Context,
  taskId: string,
  tree: string,
  signal?: AbortSignal,
): Promise<string> {
  await disableRepositories(tree, signal);
  mkdirSync(context.layout.rescue, { recursive: true, mode: 0o700 });
  for (let number = 1; number <= keptFoldersMax; number++) {
    const folder = join(context.layout.rescue, `${taskId}.${number}`);
    if (lstatSync(folder, { throwIfNoEntry: false }) !== undefined) continue;
    moveAway(byteString(tree), byteString(folder));
    context.onFolderKept();
    return folder;
  }
  throw new CoppiceError('limit-exceeded', `more than ${keptFoldersMax} kept folders of task ${taskId}`);
}

/** Error codes that occur again on every try to keep the folder. */
const lastingErrors = new Set(['EACCES', 'EEXIST', 'EINVAL', 'ELOOP', 'ENAMETOOLONG', 'ENOTEMPTY', 'EPERM']);

/** Reports whether a folder can never be kept. After a full disk or a cancellation, a later try may succeed. */
export function isNeverKept(error: unknown): boolean {
  if (error instanceof CoppiceError) return error.code === 'limit-exceeded';
  return error instanceof Error && 'code' in error && lastingErrors.has(String(error.code));
}

/** Returns the newest kept folder of a task, or null. */
export function lastKeptFolder(context: Context, taskId: string): string | null {
  const { rescue } = context.layout;
  const numbers = (existsSync(rescue) ? readdirSync(rescue) : [])
    .filter((name) => name.startsWith(`${taskId}.`))
    .map((name) => Number(name.slice(taskId.length + 1)))
    .filter(Number.isSafeInteger);
  return numbers.length === 0 ? null : join(rescue, `${taskId}.${Math.max(...numbers)}`);
}

/** The top folder, and the folders that were moved to it because they were nested too deeply. */
type Top = { root: FolderHandle; names: Set<string>; moved: number; pending: string[] };

async function disableRepositories(tree: string, signal: AbortSignal | undefined): Promise<void> {
  const parent = FolderHandle.open(byteString(join(tree, '..')));
  try {
    const root = openInside(parent, tree.slice(tree.lastIndexOf('/') + 1));
    const budget = new StepBudget({ signal });
    try {
      const top: Top = { root, names: new Set(root.names()), moved: 0, pending: [] };
      await disableBelow(root, top, 1, budget);
      for (let name = top.pending.pop(); name !== undefined; name = top.pending.pop()) {
        const folder = openInside(root, name);
        try {
          await disableBelow(folder, top, 1, budget);
        } finally {
          folder.close();
        }
      }
    } finally {
      root.close();
    }
  } finally {
    parent.close();
  }
}

async function disableBelow(folder: FolderHandle, top: Top, depth: number, budget: StepBudget): Promise<void> {
  const names = folder.names();
  const taken = folder === top.root ? top.names : new Set(names);
  const isBare = taken.has('HEAD') && (taken.has('objects') || taken.has('commondir'));
  for (const found of names) {
    budget.spend(stepsPerEntry);
    if (budget.due) await budget.yield();
    let name = found;
    if (isGitName(found) || (isBare && found === 'HEAD')) {
      name = disabledName(found, taken);
      folder.move(found, folder, name);
      taken.add(name);
    }
    if (!folder.stat(name).isDirectory()) continue;
    const inner = openInside(folder, name);
    try {
      if (depth < depthMax) await disableBelow(inner, top, depth + 1, budget);
      else moveToTop(folder, name, top);
    } finally {
      inner.close();
    }
  }
}

function moveToTop(folder: FolderHandle, name: string, top: Top): void {
  let higher: string;
  do higher = `moved.${++top.moved}`;
  while (top.names.has(higher));
  folder.move(name, top.root, higher);
  top.names.add(higher);
  top.pending.push(higher);
}

/**
 * Opens an entry that `stat` has reported as a folder. Before that, grants the owner all permissions, since its entries
 * may have to be renamed and the folder moved.
 */
function openInside(folder: FolderHandle, name: string): FolderHandle {
  const mode = Number(folder.stat(name).mode);
  if ((mode & ownerAll) !== ownerAll) folder.setMode(name, (mode & 0o7777) | ownerAll);
  return folder.folder(name);
}

function disabledName(name: string, taken: ReadonlySet<string>): string {
  const wanted = `${name}.disabled`;
  return wanted.length > nameBytesMax || taken.has(wanted) ? `${randomUUID()}.disabled` : wanted;
}

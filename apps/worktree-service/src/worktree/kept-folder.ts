import { existsSync, lstatSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { CoppiceError } from '@coppice/contracts';
import type { Context } from '../context.ts';
import { byteString, moveAway } from '../folders.ts';
import { FolderHandle } from '../import/folder-handle.ts';
import { isGitName } from '../import/path-rules.ts';
import { Turns } from '@coppice/service';

const keptFoldersMax = 1_000;
/** Each level holds a descriptor. */
const depthMax = 100;
const freeNamesMax = 1_000;
const stepsPerEntry = 100;
const ownerAll = 0o700;

/**
 * Keeps a task's worktree as a folder, under the next free number; returns where. Nothing in it is a repository any more: whoever types git in
 * there would run the hooks and settings that an agent wrote. So each `.git`, the worktree's own included, is renamed to `.git.disabled`, and the
 * `HEAD` of what looks like a bare repository to `HEAD.disabled`. Folders nested deeper than 100 are moved up to the top, as `moved.<n>`. No link is
 * followed.
 */
export async function keepFolder(context: Context, taskId: string, tree: string): Promise<string> {
  await disableRepositories(tree);
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

/** The newest folder that is kept of a task, if there is one. */
export function lastKeptFolder(context: Context, taskId: string): string | null {
  const { rescue } = context.layout;
  const numbers = (existsSync(rescue) ? readdirSync(rescue) : [])
    .filter((name) => name.startsWith(`${taskId}.`))
    .map((name) => Number(name.slice(taskId.length + 1)))
    .filter(Number.isSafeInteger);
  return numbers.length === 0 ? null : join(rescue, `${taskId}.${Math.max(...numbers)}`);
}

async function disableRepositories(tree: string): Promise<void> {
  const parent = FolderHandle.open(byteString(join(tree, '..')));
  try {
    const root = openInside(parent, tree.slice(tree.lastIndexOf('/') + 1));
    const turns = new Turns();
    const deep: string[] = [];
    try {
      await disableBelow(root, root, 1, deep, turns);
      for (let name = deep.pop(); name !== undefined; name = deep.pop()) {
        const folder = openInside(root, name);
        try {
          await disableBelow(folder, root, 1, deep, turns);
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

async function disableBelow(
  folder: FolderHandle,
  root: FolderHandle,
  depth: number,
  deep: string[],
  turns: Turns,
): Promise<void> {
  const names = folder.names();
  const isBare = names.includes('HEAD') && (names.includes('objects') || names.includes('commondir'));
  for (const found of names) {
    turns.spend(stepsPerEntry);
    if (turns.due) await turns.give();
    let name = found;
    if (isGitName(found) || (isBare && found === 'HEAD')) {
      name = freeName(folder, `${found}.disabled`);
      folder.move(found, folder, name);
    }
    if (!folder.stat(name).isDirectory()) continue;
    const inner = openInside(folder, name);
    try {
      if (depth < depthMax) await disableBelow(inner, root, depth + 1, deep, turns);
      else {
        const higher = freeName(root, 'moved');
        folder.move(name, root, higher);
        deep.push(higher);
      }
    } finally {
      inner.close();
    }
  }
}

/** `stat` has told that it is a folder. Its owner may lack the right to look into it, to rename in it, or to move it. */
function openInside(folder: FolderHandle, name: string): FolderHandle {
  const mode = Number(folder.stat(name).mode);
  if ((mode & ownerAll) !== ownerAll) folder.setMode(name, (mode & 0o7777) | ownerAll);
  return folder.folder(name);
}

function freeName(folder: FolderHandle, wanted: string): string {
  const taken = new Set(folder.names());
  if (!taken.has(wanted)) return wanted;
  for (let number = 1; number <= freeNamesMax; number++)
    if (!taken.has(`${wanted}.${number}`)) return `${wanted}.${number}`;
  throw new CoppiceError('limit-exceeded', `more than ${freeNamesMax} names like ${wanted}`);
}

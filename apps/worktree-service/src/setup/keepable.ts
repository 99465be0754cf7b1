import { CoppiceError } from '@coppice/contracts';
import { byteString } from '../folders.ts';
import { FolderHandle } from '../import/folder-handle.ts';
import { shortened } from '../import/path-rules.ts';
import { StepBudget } from '@coppice/service';

/**
 * Limits of a setup's result. The result is copied by path. On Linux, a path may have 4,096 bytes, including the path
 * of the data folder.
 */
const setupLimits = { depthMax: 200, pathBytesMax: 3_000, entriesMax: 3_000_000 } as const;

const stepsPerEntry = 100;
const ownerReads = 0o500;
const ownerAll = 0o700n;

/**
 * Checks what a setup command left, without following symbolic links. Makes files and folders readable for their owner.
 * Throws `limit-exceeded` with the path if the files can't be kept.
 */
export async function requireKeepable(tree: string, signal?: AbortSignal): Promise<void> {
  const budget = new StepBudget({
    stepsMax: setupLimits.entriesMax * stepsPerEntry,
    what: 'steps to look through it',
    signal,
  });
  const root = FolderHandle.open(byteString(tree));
  try {
    await look(root, '', 1, budget);
  } finally {
    root.close();
  }
}

async function look(folder: FolderHandle, path: string, depth: number, budget: StepBudget): Promise<void> {
  for (const name of folder.names()) {
    budget.spend(stepsPerEntry);
    if (budget.due) await budget.yield();
    const here = path === '' ? name : `${path}/${name}`;
    if (here.length > setupLimits.pathBytesMax)
      throw tooMuch(here, `its path is longer than ${setupLimits.pathBytesMax} bytes`);
    const stat = folder.stat(name);
    const unreadable = (Number(stat.mode) & ownerReads) !== ownerReads && process.geteuid?.() !== 0;
    if (!stat.isDirectory()) {
      if (unreadable && stat.isFile()) folder.setMode(name, Number((stat.mode & 0o7777n) | 0o400n));
      continue;
    }
    if (depth > setupLimits.depthMax) throw tooMuch(here, `folders are nested deeper than ${setupLimits.depthMax}`);
    if (unreadable) folder.setMode(name, Number((stat.mode & 0o7777n) | ownerAll));
    const inner = folder.folder(name);
    try {
      await look(inner, here, depth + 1, budget);
    } finally {
      inner.close();
    }
  }
}

const tooMuch = (path: string, reason: string): CoppiceError =>
  new CoppiceError('limit-exceeded', `what setup left can't be kept: ${shortened(path)}: ${reason}`, {
    retryable: false,
    details: { path: shortened(path), reason },
  });

/**
 * Disk limits of sandboxes. Common file systems have no quota for a mounted folder, so the folder's size is counted
 * while a command runs. Counting a large worktree takes a second or more, so files are counted only when the result can
 * matter.
 *
 * 1. A command is checked every `diskWatchIntervalMs` and once after its end. Slow checks run less often, unless the
 *    file system fills up.
 * 2. After a count that took longer than `diskCountMsCheap`, the next count waits until the used space of the file
 *    system has grown by the unused part of the budget. statfs reports the used space at little cost. The wait ends
 *    after `diskCountMsMax` at the latest, since other programs may free as much space as this command uses.
 * 3. A command can exceed its budget by the amount that it writes between two checks.
 * 4. The walk never leaves the watched folders, even if a command replaces a folder with a link during the walk
 *    (watched-folder.ts).
 * 5. A deleted file that a watched command still has open counts towards the sandbox's first budget (held-files.ts).
 */
import { statfs } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { StepBudget } from '@coppice/service';
import { heldBytes } from './held-files.ts';
import type { RunningCommand } from './launcher.ts';
import {
  diskCountMsCheap,
  diskCountMsMax,
  diskWatchDepthMax,
  diskWatchEntriesMax,
  diskWatchIntervalMs,
  diskWatchRatio,
} from './limits.ts';
import { FolderKeptClosed, WatchedFolder } from './watched-folder.ts';

/**
 * Cost of one entry, in steps of `StepBudget`. The walk uses synchronous calls, since they are ten times faster here
 * than asynchronous ones.
 */
const stepsPerEntry = 100;

export interface DiskBudget {
  folders: readonly string[];
  bytesMax: number;
}

interface Count {
  bytes: number;
  freeBytes: number;
  /** Time of the count, by performance.now(). */
  at: number;
  tookMs: number;
}

/** Check of a command's disk space. `watch` is called while the command runs, `isExceeded` once after its end. */
export type DiskCheck = Pick<DiskMeter, 'watch' | 'isExceeded'>;

/** Checks the disk budgets of a sandbox. Keeps the last counts between checks and between commands. */
export class DiskMeter {
  readonly #budgets: readonly DiskBudget[];
  readonly #counts = new Map<DiskBudget, Count>();
  readonly #commands = new Set<Pick<RunningCommand, 'firstProcess'>>();
  readonly #intervalMs: number;
  readonly #ratio: number;

  constructor(budgets: readonly DiskBudget[], intervalMs = diskWatchIntervalMs, ratio = diskWatchRatio) {
    this.#budgets = budgets;
    this.#intervalMs = intervalMs;
    this.#ratio = ratio;
  }

  /** Resolves to true when a budget is exceeded, and to false when aborted. */
  async watch(signal: AbortSignal, command: Pick<RunningCommand, 'firstProcess'>): Promise<boolean> {
    let tookMs = 0;
    this.#commands.add(command);
    try {
      while (!signal.aborted) {
        await this.#waitAfterLook(tookMs, signal);
        const started = performance.now();
        if (await this.isExceeded(signal)) return true;
        tookMs = performance.now() - started;
      }
      return false;
    } finally {
      this.#commands.delete(command);
    }
  }

  /**
   * Waits for `tookMs * ratio`, at least for the interval, so that checks take only a small share of the time. If the
   * file system has grown by more than the rest of a budget, the wait ends after `tookMs`.
   */
  async #waitAfterLook(tookMs: number, signal: AbortSignal): Promise<void> {
    const started = performance.now();
    const waitMs = Math.max(this.#intervalMs, tookMs * this.#ratio);
    for (let waitedMs = 0; waitedMs < waitMs && !signal.aborted; waitedMs = performance.now() - started) {
      // An abort ends the wait.
      await sleep(Math.min(this.#intervalMs, waitMs - waitedMs), undefined, { signal, ref: false }).catch(
        () => undefined,
      );
      if (performance.now() - started >= tookMs && (await this.#hasGrown())) return;
    }
  }

  async #hasGrown(): Promise<boolean> {
    for (const budget of this.#budgets) {
      const last = this.#counts.get(budget);
      if (last !== undefined && grownTo(last, await freeBytesOf(budget)) > budget.bytesMax) return true;
    }
    return false;
  }

  /** Returns false when aborted. */
  async isExceeded(signal: AbortSignal): Promise<boolean> {
    for (const [index, budget] of this.#budgets.entries()) {
      if (signal.aborted) return false;
      const freeBytes = await freeBytesOf(budget);
      if (!canExceed(budget, this.#counts.get(budget), freeBytes)) continue;
      const started = performance.now();
      // Counts open deleted files before the walk. Otherwise a file that is deleted between the two counts would count
      // twice.
      const held = index === 0 ? await this.#heldBytes() : 0;
      const bytes = held + (await usedBytes({ ...budget, bytesMax: budget.bytesMax - held }, signal));
      const at = performance.now();
      // After an abort, the count is incomplete and therefore too low.
      if (signal.aborted) return false;
      this.#counts.set(budget, { bytes, freeBytes, at, tookMs: at - started });
      if (bytes > budget.bytesMax) return true;
    }
    return false;
  }

  async #heldBytes(): Promise<number> {
    const firstProcesses = [...this.#commands].flatMap((command) => command.firstProcess() ?? []);
    const folders = this.#budgets.flatMap((budget) => budget.folders);
    return heldBytes(firstProcesses, folders);
  }
}

function canExceed(budget: DiskBudget, last: Count | undefined, freeBytes: number): boolean {
  if (last === undefined || last.tookMs <= diskCountMsCheap || performance.now() - last.at > diskCountMsMax)
    return true;
  return grownTo(last, freeBytes) > budget.bytesMax;
}

/**
 * Upper bound of the current size of a budget's folders. Assumes that these folders account for all growth of the file
 * system.
 */
const grownTo = (last: Count, freeBytes: number): number => last.bytes + (last.freeBytes - freeBytes);

/**
 * Returns the sum of the free bytes of the folders' file systems. A file system that several folders share counts
 * several times. The only effect is that checks run earlier.
 */
async function freeBytesOf({ folders }: DiskBudget): Promise<number> {
  let bytes = 0;
  for (const folder of folders) {
    const status = await statfs(folder).catch(() => undefined);
    if (status !== undefined) bytes += status.bfree * status.bsize;
  }
  return bytes;
}

/**
 * Returns the size of all files in a budget's folders, in bytes of allocated blocks. Files that disappear during the
 * walk are not counted. The result is infinite if there are more than `diskWatchEntriesMax` entries or folders deeper
 * than `diskWatchDepthMax`. It is also infinite if a command removes a folder's permissions each time that they are
 * restored. Otherwise a command could hide files from the limit.
 */
export async function usedBytes(budget: DiskBudget, signal: AbortSignal): Promise<number> {
  let bytes = 0;
  let entries = 0;
  const steps = new StepBudget();
  /** Stack of open folders, the root first. `inner` has the names of the subfolders that are still to be read. */
  const open: { folder: WatchedFolder; inner: Buffer[] }[] = [];
  const enter = async (folder: WatchedFolder | null): Promise<void> => {
    if (folder === null) return;
    const inner: Buffer[] = [];
    open.push({ folder, inner });
    for (const { name, isDirectory } of folder.entries()) {
      if (++entries > diskWatchEntriesMax) bytes = Number.POSITIVE_INFINITY;
      if (isDirectory) inner.push(name);
      bytes += folder.blocksOf(name) * 512;
      if (bytes > budget.bytesMax) return;
      steps.spend(stepsPerEntry);
      if (!steps.due) continue;
      await steps.yield();
      if (signal.aborted) return;
    }
  };
  try {
    for (const root of budget.folders) {
      await enter(WatchedFolder.open(root));
      for (let last = open.at(-1); last !== undefined; last = open.at(-1)) {
        if (signal.aborted || bytes > budget.bytesMax) return bytes;
        const name = last.inner.pop();
        if (name === undefined) open.pop()?.folder.close();
        else if (open.length >= diskWatchDepthMax) return Number.POSITIVE_INFINITY;
        else await enter(last.folder.inner(name));
      }
    }
    return bytes;
  } catch (error) {
    if (error instanceof FolderKeptClosed) return Number.POSITIVE_INFINITY;
    throw error;
  } finally {
    for (const { folder } of open) folder.close();
  }
}

/**
 * A mounted folder has no quota of its own on common file systems, so somebody has to look. Counting a large worktree
 * costs a second or more, so it is done only when it can matter:
 *
 * 1. A command is looked at each `diskWatchIntervalMs`, and once after its end. Looks that take long are rarer, unless the file system fills.
 * 2. After a count that was no trifle (`diskCountMsCheap`), the next one waits until the whole file system has grown by
 *    what was left of the budget (asking for that costs nothing), or until `diskCountMsMax` has passed, since others may have freed what this one filled.
 * 3. Between two looks a command can overrun its budget by what it writes then.
 * 4. The walk never leaves the watched folders, whatever a command swaps for a link meanwhile (watched-folder.ts).
 * 5. Deleted files that the watched commands still have open count to the first budget, wherever they were (held-files.ts).
 */
import { statfs } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { Turns } from '@coppice/service';
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

/** What one entry costs, in steps of a turn. Synchronous calls are ten times cheaper than asynchronous ones here. */
const stepsPerEntry = 100;

export interface DiskBudget {
  folders: readonly string[];
  bytesMax: number;
}

interface Count {
  bytes: number;
  freeBytes: number;
  /** By performance.now(). */
  at: number;
  tookMs: number;
}

/** Remembers what was counted, from look to look and from command to command. */
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

  /** Resolves to true once a budget is exceeded, false when aborted. */
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

  /** Looks take a small share of the time, and up to half of it while the file system grows by what was left of a budget. */
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

  /** One look. Aborted, it answers false. */
  async isExceeded(signal: AbortSignal): Promise<boolean> {
    for (const [index, budget] of this.#budgets.entries()) {
      if (signal.aborted) return false;
      const freeBytes = await freeBytesOf(budget);
      if (!canExceed(budget, this.#counts.get(budget), freeBytes)) continue;
      const started = performance.now();
      // Before the walk: what is deleted between the two must not count twice.
      const held = index === 0 ? await this.#heldBytes() : 0;
      const bytes = held + (await usedBytes({ ...budget, bytesMax: budget.bytesMax - held }, signal));
      const at = performance.now();
      // A count that was broken off says too little.
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

/** The most that a budget's folders can hold by now, if all that the file system has grown by is theirs. */
const grownTo = (last: Count, freeBytes: number): number => last.bytes + (last.freeBytes - freeBytes);

/** Of all file systems that the folders lie on; one that several share counts several times, which only looks earlier. */
async function freeBytesOf({ folders }: DiskBudget): Promise<number> {
  let bytes = 0;
  for (const folder of folders) {
    const status = await statfs(folder).catch(() => undefined);
    if (status !== undefined) bytes += status.bfree * status.bsize;
  }
  return bytes;
}

/**
 * Counts allocated blocks, so a sparse file costs what it costs. What vanishes during the walk is not counted. More
 * entries than can be watched, folders too deep to look into, and those that are closed again whenever they are opened, count as infinitely much: they
 * would be a way to hide.
 */
export async function usedBytes(budget: DiskBudget, signal: AbortSignal): Promise<number> {
  let bytes = 0;
  let entries = 0;
  const turns = new Turns();
  /** Open folders from a root downwards, each with the names of those in it that are still to be read. */
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
      turns.spend(stepsPerEntry);
      if (!turns.due) continue;
      await turns.give();
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

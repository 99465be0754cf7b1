/**
 * Rounds that free disk space. A round runs at start, every 15 minutes, after a folder was kept, and when the disk is
 * low on space.
 *
 * Invariants:
 * 1. Only one process per data folder runs a round at a time. Other processes skip their round.
 * 2. A failed step doesn't prevent the other steps.
 * 3. Data that a task uses is kept. The only copy of work is removed only because of its own limits, never because the
 *    disk is low on space.
 */
import { lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { CoppiceError } from '@coppice/contracts';
import type { Clock } from '@coppice/service';
import type { Context } from '../context.ts';
import { removePartial } from '../upkeep.ts';
import { collectGarbage } from './collect.ts';
import { boundKeptWork } from './kept-work.ts';
import { measure, stores } from './measure.ts';
import { removeOldRefs } from './old-refs.ts';
import type { Expiry } from './removed.ts';
import { writeReport, type DiskReport } from './report.ts';
import { boundSetups, removeOldAttempts } from './setups.ts';
import { Sizes } from './sizes.ts';
import { spaceOf } from './space.ts';

const roundIntervalMs = 15 * 60_000;
/** Age from which an incomplete file in a store is removed. Every git command of this service ends earlier. */
const partialAgeMs = 3_600_000;
const dayMs = 24 * 3_600_000;
/** Minimum growth in bytes for a garbage collection while the disk is low on space. */
const grownBytesMinLow = 1024 ** 2;

export type RetentionSettings = {
  clock: Clock;
  onRemoved: (expiry: Expiry) => void;
  onError: (error: unknown) => void;
};

export class Retention {
  readonly #context: Context;
  readonly #settings: RetentionSettings;
  readonly #sizes = new Sizes();
  readonly #stopping = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #round: Promise<void> | null = null;
  #isWanted = false;
  #report: DiskReport | null = null;

  constructor(context: Context, settings: RetentionSettings) {
    this.#context = context;
    this.#settings = settings;
  }

  /** The report of this process's last round; null before the first. */
  get report(): DiskReport | null {
    return this.#report;
  }

  /** Runs the first round at once. */
  start(): void {
    this.#timer = setInterval(() => this.request(), roundIntervalMs);
    this.#timer.unref();
    this.request();
  }

  /** Starts a round, or requests another one if a round is running. Never throws. */
  request(): void {
    this.#isWanted = true;
    if (this.#stopping.signal.aborted) return;
    this.#round ??= this.#rounds().finally(() => {
      this.#round = null;
    });
  }

  /** Resolves when all requested rounds are done. */
  async settle(): Promise<void> {
    while (this.#round !== null) await this.#round;
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#stopping.abort(new CoppiceError('cancelled', 'the service stops'));
    await this.settle();
  }

  async #rounds(): Promise<void> {
    while (this.#isWanted && !this.#stopping.signal.aborted) {
      this.#isWanted = false;
      await this.#context.locks
        .hold('retention', () => this.#once(), { waitMsMax: 0 })
        .catch((error: unknown) => {
          if (!(error instanceof CoppiceError && error.code === 'git-contention')) this.#settings.onError(error);
        });
    }
  }

  async #once(): Promise<void> {
    const context = this.#context;
    const nowMs = this.#settings.clock.now().getTime();
    const { signal } = this.#stopping;
    await this.#step(async () => {
      await context.trash.sweep();
      return [];
    });
    await this.#step(() => boundKeptWork(context, { stores: stores(context), sizes: this.#sizes, nowMs, signal }));
    await this.#step(async () => removeOldAttempts(context, nowMs));
    await this.#step(async () => removeCutOff(context, nowMs));
    for (const store of stores(context)) {
      await this.#step(async () => {
        removePartial(store.tasksGit, nowMs, partialAgeMs);
        return removeOldRefs(context, store, { nowMs, signal });
      });
      await this.#step(async () => {
        const { isLow } = await spaceOf(context.layout.root, context.disk.freeBytesMin);
        await collectGarbage(context, store, { signal, ...(isLow ? { grownMin: grownBytesMinLow } : {}) });
        return [];
      });
    }
    await this.#step(async () => {
      const space = await spaceOf(context.layout.root, context.disk.freeBytesMin);
      const isShortOfInodes = space.inodesFree < space.inodesFreeMin;
      const bytesToFree = isShortOfInodes ? Number.POSITIVE_INFINITY : space.freeBytesMin - space.freeBytes;
      return boundSetups(context, this.#sizes, { nowMs, bytesToFree });
    });
    await this.#step(async () => {
      this.#report = await measure(context, this.#sizes, nowMs);
      writeReport(context.layout.root, this.#report);
      return [];
    });
  }

  async #step(work: () => Promise<Expiry[]>): Promise<void> {
    if (this.#stopping.signal.aborted) return;
    try {
      for (const removed of await work()) this.#settings.onRemoved(removed);
    } catch (error) {
      if (!this.#stopping.signal.aborted) this.#settings.onError(error);
    }
  }
}

/** Removes stores whose creation was interrupted. */
function removeCutOff(context: Context, nowMs: number): Expiry[] {
  const removed: Expiry[] = [];
  for (const name of readdirSync(context.layout.repositories).filter((each) => each.includes('.new-'))) {
    const folder = join(context.layout.repositories, name);
    const writtenAtMs = lstatSync(folder, { throwIfNoEntry: false })?.mtimeMs ?? nowMs;
    if (nowMs - writtenAtMs <= dayMs) continue;
    context.trash.take(folder);
    removed.push({ what: folder, reason: 'age', bytes: null });
  }
  return removed;
}

/**
 * Daily removal of outdated data: records and refs of finished operations, and files that killed git processes left.
 * The removal runs within other operations and never makes them fail.
 */
import { existsSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { LRUCache } from 'lru-cache';
import type { Clock } from '@coppice/service';
import type { Git, GitOptions } from './git/git.ts';
import { updateUserRefs } from './git/refs.ts';
import type { Layout } from './layout.ts';
import type { Store } from './repository/store.ts';

const dayMs = 24 * 3_600_000;

export const upkeepLimits = {
  intervalMs: dayMs,
  /**
   * Age from which records are removed: the longest timer plus 30 days, as for the tombstone of a finished actor. After
   * this time, no message can repeat an effect.
   */
  noteAgeMs: 60 * dayMs,
  /** Age from which an incomplete file is removed. Every git command of this service ends earlier. */
  partialAgeMs: dayMs,
  /**
   * Like `partialAgeMs`, while the fetch lock is held. While this lock is held, no other process of Coppice fetches
   * into the store.
   */
  partialAgeMsLocked: 15 * 60_000,
  rememberedMax: 10_000,
} as const;

export class Upkeep {
  readonly #clock: Clock;
  readonly #onError: (error: unknown) => void;
  readonly #last = new LRUCache<string, number>({ max: upkeepLimits.rememberedMax });

  constructor(clock: Clock, onError: (error: unknown) => void) {
    this.#clock = clock;
    this.#onError = onError;
  }

  /** Calls `work` unless this process has called it for the same `what` within the last day. Never throws. */
  async daily(what: string, work: (nowMs: number) => Promise<void>): Promise<void> {
    const nowMs = this.#clock.now().getTime();
    if (nowMs - (this.#last.get(what) ?? -Infinity) < upkeepLimits.intervalMs) return;
    this.#last.set(what, nowMs);
    try {
      await work(nowMs);
    } catch (error) {
      this.#onError(error);
    }
  }
}

export function forgetRemovals(layout: Layout, nowMs: number): void {
  for (const name of readdirSync(layout.removed))
    removeOlder(join(layout.removed, name), nowMs - upkeepLimits.noteAgeMs);
}

/**
 * Folders of refs in tasks.git that record completed operations. If such a ref was the only one to a commit,
 * disk/collect.ts may remove the commit later.
 */
const notesInTasks = ['done', 'merge', 'candidate', 'merged'].map((kind) => `refs/coppice/${kind}/`);
/** Folder of the refs in a user's repository that record landings. */
const notesInOrigin = 'refs/coppice/done/';

export async function forgetNotes(git: Git, store: Store, nowMs: number): Promise<void> {
  const old = await oldNotes(git, store.tasks, notesInTasks, nowMs);
  if (old.length > 0) await store.updateRefs(old.map(deletion));
}

/**
 * Deletes old records of landings. Keeps a record that is the only ref to a commit, since the user's git would remove
 * that commit.
 */
export async function forgetDone(git: Git, options: GitOptions, nowMs: number): Promise<void> {
  const old = await oldNotes(git, options, [notesInOrigin], nowMs);
  if (old.length === 0) return;
  const others = ['--not', `--exclude=${notesInOrigin}*`, '--all'];
  const input = [...new Set(old.map(({ commit }) => commit))].join('\n');
  const alone = new Set((await git.text(['rev-list', '--stdin', ...others], { ...options, input })).split('\n'));
  const commands = old.filter(({ commit }) => !alone.has(commit)).map(deletion);
  if (commands.length > 0) await updateUserRefs(git, options, 'coppice: forget', commands);
}

type Note = { ref: string; commit: string };

const deletion = ({ ref, commit }: Note): string => `delete ${ref} ${commit}`;

async function oldNotes(git: Git, options: GitOptions, folders: string[], nowMs: number): Promise<Note[]> {
  const latestMs = nowMs - upkeepLimits.noteAgeMs;
  const format = '--format=%(objectname) %(committerdate:unix) %(refname)';
  const lines = (await git.text(['for-each-ref', format, ...folders], options)).split('\n');
  return lines.flatMap((line): Note[] => {
    const [commit = '', seconds = '', ref = ''] = line.split(' ');
    // A commit may be older than its record. If the ref is loose, the mtime of its file is the time of the record.
    const writtenMs = statSync(join(options.gitDir ?? '', ref), { throwIfNoEntry: false })?.mtimeMs ?? 0;
    return seconds !== '' && Math.max(Number(seconds) * 1_000, writtenMs) < latestMs ? [{ ref, commit }] : [];
  });
}

const crashReport = /^fast_import_crash_\d+$/;
const partialName = /^(tmp_(pack|idx|rev|obj)_|\.tmp-|pack-[0-9a-f]+\.keep$)/;

/** Removes incomplete files that a killed git process left in a store. */
export function removePartial(gitDir: string, nowMs: number, ageMs: number): void {
  removeNamed(gitDir, crashReport, nowMs - ageMs);
  const objects = join(gitDir, 'objects');
  for (const name of readdirSync(objects)) {
    if (name !== 'pack' && !/^[0-9a-f]{2}$/.test(name)) continue;
    removeNamed(join(objects, name), partialName, nowMs - ageMs);
  }
}

function removeNamed(folder: string, pattern: RegExp, latestMs: number): void {
  if (!existsSync(folder)) return;
  for (const name of readdirSync(folder)) if (pattern.test(name)) removeOlder(join(folder, name), latestMs);
}

function removeOlder(file: string, latestMs: number): void {
  const stat = statSync(file, { throwIfNoEntry: false });
  if (stat !== undefined && stat.mtimeMs < latestMs) rmSync(file, { recursive: true, force: true });
}

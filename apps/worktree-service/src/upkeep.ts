/**
 * What would stay for ever, and is needed for a time only, goes by age: notes and refs that tell that something was done once, and what git
 * leaves where it is killed. Looked for once a day, where somebody is at work anyway. A failure harms nobody's result.
 */
import { existsSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '@coppice/service';
import type { Git, GitOptions } from './git/git.ts';
import { updateUserRefs } from './git/refs.ts';
import { Remembered } from './git/remembered.ts';
import type { Layout } from './layout.ts';
import type { Store } from './repository/store.ts';

const dayMs = 24 * 3_600_000;

export const upkeepLimits = {
  intervalMs: dayMs,
  /** 30 days past the longest timer: like a finished actor's tombstone, longer than any message that could bring an effect back. */
  noteAgeMs: 60 * dayMs,
  /** Longer than any git here may take. */
  partialAgeMs: dayMs,
  /** The same where no process of ours is at work. */
  partialAgeMsLocked: 15 * 60_000,
  rememberedMax: 10_000,
} as const;

export class Upkeep {
  readonly #clock: Clock;
  readonly #onError: (error: unknown) => void;
  readonly #last = new Remembered<number>(upkeepLimits.rememberedMax);

  constructor(clock: Clock, onError: (error: unknown) => void) {
    this.#clock = clock;
    this.#onError = onError;
  }

  /** Does it if this process hasn't within a day; never throws. */
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

/** In tasks.git, where nothing is collected: no commit is lost with its ref. */
const notesInTasks = ['done', 'merge', 'candidate', 'merged'].map((kind) => `refs/coppice/${kind}/`);
/** In a user's repository, whose own git collects what no ref has. */
const notesInOrigin = 'refs/coppice/done/';

export async function forgetNotes(git: Git, store: Store, nowMs: number): Promise<void> {
  const old = await oldNotes(git, store.tasks, notesInTasks, nowMs);
  if (old.length > 0) await store.updateRefs(old.map(deletion));
}

/** All but those that alone keep a commit. */
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
    // A commit may be older than what is noted of it; a ref in a file of its own tells when that was.
    const writtenMs = statSync(join(options.gitDir ?? '', ref), { throwIfNoEntry: false })?.mtimeMs ?? 0;
    return seconds !== '' && Math.max(Number(seconds) * 1_000, writtenMs) < latestMs ? [{ ref, commit }] : [];
  });
}

const crashReport = /^fast_import_crash_\d+$/;
const partialName = /^(tmp_(pack|idx|rev|obj)_|\.tmp-|pack-[0-9a-f]+\.keep$)/;

/** What a git that was killed had begun to write into a store's objects. */
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

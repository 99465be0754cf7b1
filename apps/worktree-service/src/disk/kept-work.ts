/**
 * Limits on work that did not land. Kept folders and rescued commits share one size limit. The oldest are removed
 * first. old-refs.ts removes commits that exceed the age limit.
 */
import { createHash } from 'node:crypto';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { createLogger } from '@coppice/telemetry';
import type { Context } from '../context.ts';
import type { Store } from '../repository/store.ts';
import { keptFolders } from './kept-folders.ts';
import { isRescue, keptRefs, type KeptRef } from './old-refs.ts';
import type { Expiry } from './removed.ts';
import type { Sizes } from './sizes.ts';

const log = createLogger('worktree-service');

type Commits = {
  store: Store;
  /** Newest first. */
  refs: KeptRef[];
  /** Bytes on disk, with each object counted once. Null if git could not measure them. */
  bytes: number | null;
};

export async function rescued(context: Context, store: Store, sizes: Sizes, signal?: AbortSignal): Promise<Commits> {
  const refs = (await keptRefs(context, store, signal)).filter(isRescue);
  const commits = refs.toSorted(newestFirst).map(({ commit }) => commit);
  // A garbage collection changes the size of objects on disk, so its time is part of the key.
  const collected = statSync(join(store.tasksGit, 'coppice-collected'), { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const list = createHash('sha256').update(commits.join(' ')).digest('hex');
  const key = `${store.tasksGit} ${collected} ${list}`;
  const bytes = await sizes.remembered(key, () => bytesOf(context, store, { commits, without: [] }, signal));
  return { store, refs: refs.toSorted(newestFirst), bytes };
}

const newestFirst = (one: { writtenAtMs: number }, other: { writtenAtMs: number }): number =>
  other.writtenAtMs - one.writtenAtMs;

/**
 * Returns the bytes on disk of the objects in `commits` that neither the origin nor `without` contains. Null if git
 * fails.
 */
async function bytesOf(
  context: Context,
  store: Store,
  { commits, without }: { commits: string[]; without: string[] },
  signal?: AbortSignal,
): Promise<number | null> {
  if (commits.length === 0) return 0;
  // `^commit` excludes only the objects shared with the history, not the files of the commit's own tree. `^commit^{tree}` excludes these
  // files too.
  const input = [...commits, ...without.map((commit) => `^${commit}^{tree}`)].join('\n');
  const args = ['rev-list', '--disk-usage', '--objects', '--stdin', '--not', '--alternate-refs'];
  try {
    return Number(await context.git.text(args, { ...store.tasks, input, signal }));
  } catch (error) {
    signal?.throwIfAborted();
    log.warn({ err: error, store: store.tasksGit }, 'rescued commits could not be measured');
    return null;
  }
}

type Kept = { what: string; writtenAtMs: number; bytes: () => Promise<number>; remove: () => Promise<void> | void };

/**
 * Removes folders that exceed the age limit. Then removes the oldest folders and commits until the rest is within the
 * size limit. The newest entry is always kept.
 */
export async function boundKeptWork(
  context: Context,
  of: { stores: Store[]; sizes: Sizes; nowMs: number; signal?: AbortSignal },
): Promise<Expiry[]> {
  const { rescueAgeMsMax, rescueBytesMax } = context.disk;
  const removed: Expiry[] = [];
  const kept: Kept[] = [];
  let total = 0;
  for (const { path, keptAtMs, bytes } of await keptFolders(context, of.sizes)) {
    if (of.nowMs - keptAtMs > rescueAgeMsMax) {
      context.trash.take(path);
      removed.push({ what: path, reason: 'age', bytes });
      continue;
    }
    total += bytes;
    kept.push({
      what: path,
      writtenAtMs: keptAtMs,
      bytes: async () => bytes,
      remove: () => context.trash.take(path),
    });
  }
  for (const store of of.stores) {
    const commits = await rescued(context, store, of.sizes, of.signal);
    // Commits that can't be measured are kept until they reach the age limit.
    if (commits.bytes === null) continue;
    total += commits.bytes;
    kept.push(...eachRef(context, commits, of.signal));
  }
  if (total <= rescueBytesMax) return removed;
  let sum = 0;
  for (const [index, each] of kept.toSorted(newestFirst).entries()) {
    // Once the limit is exceeded, all older entries are removed without being measured.
    const bytes = sum > rescueBytesMax ? null : await each.bytes();
    sum += bytes ?? 0;
    if (index === 0 || sum <= rescueBytesMax) continue;
    await each.remove();
    removed.push({ what: each.what, reason: 'size', bytes });
  }
  return removed;
}

/** Converts refs to entries of kept work. The size of an entry counts only objects that newer refs don't have. */
const eachRef = (context: Context, { store, refs }: Commits, signal?: AbortSignal): Kept[] =>
  refs.map(({ ref, commit, writtenAtMs }, index) => ({
    what: `${store.tasksGit} ${ref} (${commit})`,
    writtenAtMs,
    bytes: async () => {
      const newer = refs.slice(0, index).map((each) => each.commit);
      return (await bytesOf(context, store, { commits: [commit], without: newer }, signal)) ?? 0;
    },
    remove: () => store.updateRefs([`delete ${ref} ${commit}`], signal),
  }));

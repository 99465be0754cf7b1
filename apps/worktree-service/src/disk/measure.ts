import { readdirSync } from 'node:fs';
import type { Context } from '../context.ts';
import { storeOf } from '../context.ts';
import type { Store } from '../repository/store.ts';
import { keptFolders } from './kept-folders.ts';
import { rescued } from './kept-work.ts';
import { livingTasks } from './living-tasks.ts';
import { goesAtMs, keptRefs } from './old-refs.ts';
import type { DiskReport } from './report.ts';
import { sealedSetups } from './setups.ts';
import type { Sizes } from './sizes.ts';
import { bytesIn, spaceOf } from './space.ts';

const soonMs = 14 * 24 * 3_600_000;
const goesSoonMax = 50;

/** Returns all stores, except those whose creation was interrupted. */
export function stores(context: Context): Store[] {
  const names = readdirSync(context.layout.repositories).filter((name) => !name.includes('.'));
  return names.map((repositoryId) => storeOf(context, repositoryId));
}

export async function measure(context: Context, sizes: Sizes, nowMs: number): Promise<DiskReport> {
  const { layout, disk } = context;
  const space = await spaceOf(layout.root, disk.freeBytesMin);
  const kept = await keptFolders(context, sizes);
  const commits = [];
  for (const store of stores(context)) commits.push(await rescued(context, store, sizes));
  const rescues = commits.flatMap(({ refs }) => refs);
  const setups = await sealedSetups(context, sizes);
  const other = async (name: 'repositories' | 'worktrees' | 'trash', ...folders: string[]) => {
    let bytes: number | null = 0;
    for (const folder of folders) bytes = sum(bytes, await bytesIn(folder));
    const [first = ''] = folders;
    return { name, folder: first, count: readdirSync(first).length, bytes, bytesMax: null, oldest: null };
  };
  const parts: DiskReport['parts'] = [
    {
      name: 'kept-folders',
      folder: layout.rescue,
      count: kept.length,
      bytes: kept.reduce((total, { bytes }) => total + bytes, 0),
      bytesMax: disk.rescueBytesMax,
      oldest: timeText(kept.at(-1)?.keptAtMs),
    },
    {
      name: 'rescued-commits',
      folder: layout.repositories,
      count: rescues.length,
      bytes: commits.reduce<number | null>((total, { bytes }) => sum(total, bytes), 0),
      // This limit applies to rescued commits and kept folders together.
      bytesMax: disk.rescueBytesMax,
      oldest: rescues.length === 0 ? null : timeText(Math.min(...rescues.map(({ writtenAtMs }) => writtenAtMs))),
    },
    {
      name: 'setups',
      folder: layout.setups,
      count: setups.length,
      bytes: await bytesIn(layout.setups),
      bytesMax: disk.setupsBytesMax,
      oldest: timeText(setups.at(-1)?.usedAtMs),
    },
    await other('repositories', layout.repositories),
    await other('worktrees', layout.worktrees, layout.checkouts),
    await other('trash', layout.trash),
  ];
  const folder = layout.root;
  const { isLow: refusesWork, ...free } = space;
  const goesSoon = await leavingSoon(context, sizes, nowMs);
  const measuredAt = new Date(nowMs).toISOString();
  return { measuredAt, folder, ...free, refusesWork, parts, goesSoon };
}

const sum = (one: number | null, other: number | null): number | null =>
  one === null || other === null ? null : one + other;

const timeText = (ms: number | undefined): string | null => (ms === undefined ? null : new Date(ms).toISOString());

async function leavingSoon(context: Context, sizes: Sizes, nowMs: number): Promise<DiskReport['goesSoon']> {
  const living = new Set(livingTasks(context).map(({ taskId }) => taskId));
  const leaving = (await keptFolders(context, sizes)).map(({ path, keptAtMs }) => ({
    what: path,
    atMs: keptAtMs + context.disk.rescueAgeMsMax,
  }));
  for (const store of stores(context)) {
    for (const kept of await keptRefs(context, store)) {
      const atMs = kept.taskId === null ? null : goesAtMs(context, kept, living);
      if (atMs !== null) leaving.push({ what: `${store.tasksGit} ${kept.ref}`, atMs });
    }
  }
  return leaving
    .filter(({ atMs }) => atMs - nowMs < soonMs)
    .toSorted((one, other) => one.atMs - other.atMs)
    .slice(0, goesSoonMax)
    .map(({ what, atMs }) => ({ what, at: new Date(atMs).toISOString() }));
}

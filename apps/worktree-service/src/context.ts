import type { DiskSettings } from './disk/settings.ts';
import type { Git } from './git/git.ts';
import type { Owner, Trash } from './folders.ts';
import type { ImportLimits } from './import/limits.ts';
import type { Layout } from './layout.ts';
import type { Locks } from './lock.ts';
import type { Origins } from './repository/known-origins.ts';
import type { Origin } from './repository/origin.ts';
import { Store } from './repository/store.ts';
import type { Upkeep } from './upkeep.ts';

/** Dependencies and settings shared by all operations. */
export type Context = {
  git: Git;
  /** Repositories that the operation's tenant may use. `forTenant` sets this field. */
  origins: Origins;
  originsOf: (tenant: string) => Origins;
  locks: Locks;
  layout: Layout;
  trash: Trash;
  upkeep: Upkeep;
  sandboxOwner: Owner;
  /** Name of this host in command subjects. A worktree can only be used on the host that created it. */
  node: string;
  importLimits: ImportLimits;
  disk: DiskSettings;
  /** Called after a worktree was kept as a folder. The kept folders may now exceed their size limit. */
  onFolderKept: () => void;
  /** Called at each crash point. Only tests set it, to kill the process there. */
  reached: (point: CrashPoint) => void;
};

/** Points at which tests kill the process. Each point is between two durable steps or before the reply. */
export const crashPoints = [
  'worktree-added',
  'checked-out',
  'imported',
  'commit-recorded',
  'merge-recorded',
  'landing-transferred',
  'fast-forwarded',
  'landed',
  'rescued',
  'worktree-removed',
] as const;
export type CrashPoint = (typeof crashPoints)[number];

export const forTenant = (context: Context, tenant: string): Context => ({
  ...context,
  origins: context.originsOf(tenant),
});

/** Finds a repository and its stores. The stores may not exist yet. */
export async function openRepository(context: Context, address: string): Promise<{ origin: Origin; store: Store }> {
  const origin = await context.origins.find(address);
  return { origin, store: storeOf(context, origin.repositoryId) };
}

export const storeOf = (context: Context, repositoryId: string): Store =>
  new Store(context.git, context.locks, context.layout, repositoryId, context.sandboxOwner?.gid ?? null);

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

/** What every operation works with. */
export type Context = {
  git: Git;
  /** What the tenant of an operation may name; of nobody before `forTenant`. */
  origins: Origins;
  originsOf: (tenant: string) => Origins;
  locks: Locks;
  layout: Layout;
  trash: Trash;
  upkeep: Upkeep;
  sandboxOwner: Owner;
  /** The host's name in command subjects: worktrees can be used only there. */
  node: string;
  importLimits: ImportLimits;
  disk: DiskSettings;
  /** Called when a folder was kept that could not be imported: all of them have a bound. */
  onFolderKept: () => void;
  /** Called at named points between two steps of an effect, where tests end the process. */
  reached: (point: CrashPoint) => void;
};

/** The points at which a crash is tested; each lies between two durable steps, or before the reply. */
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

/** The same for an operation of a tenant's. */
export const forTenant = (context: Context, tenant: string): Context => ({
  ...context,
  origins: context.originsOf(tenant),
});

/** The repository that an address names, with its stores (which may not exist yet). */
export async function openRepository(context: Context, address: string): Promise<{ origin: Origin; store: Store }> {
  const origin = await context.origins.find(address);
  return { origin, store: storeOf(context, origin.repositoryId) };
}

export const storeOf = (context: Context, repositoryId: string): Store =>
  new Store(context.git, context.locks, context.layout, repositoryId, context.sandboxOwner?.gid ?? null);

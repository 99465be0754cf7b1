import { readdirSync, realpathSync, statSync } from 'node:fs';
import { CoppiceError } from '@coppice/contracts';
import { isRoot, sandboxUser, systemClock } from '@coppice/service';
import type { Clock } from '@coppice/service';
import type { Context, CrashPoint } from './context.ts';
import { diskSettingsDefault, type DiskSettings } from './disk/settings.ts';
import { Trash } from './folders.ts';
import { Git } from './git/git.ts';
import { importLimitsDefault, type ImportLimits } from './import/limits.ts';
import { Layout } from './layout.ts';
import { Locks } from './lock.ts';
import { AllowedRepositories } from './repository/allowed-repositories.ts';
import { KnownOrigins } from './repository/known-origins.ts';
import { Store } from './repository/store.ts';
import { join } from 'node:path';
import { markUnrelated } from './unrelated-folders.ts';
import { Upkeep } from './upkeep.ts';

export type OpenOptions = {
  /** Absolute path. Created if missing. */
  dataFolder: string;
  /**
   * Folder with the data of all services of this host. Repositories in it are rejected, since agents may write there.
   * Default: the data folder.
   */
  stackFolder?: string;
  node: string;
  /** Used only if the stack runs as root. Otherwise sandboxes run as the stack's own user. */
  sandboxUid?: number | undefined;
  importLimits?: Partial<ImportLimits>;
  disk?: DiskSettings;
  onFolderKept?: () => void;
  /** Repositories that each tenant may use; default: all. */
  allowedRepositories?: AllowedRepositories;
  onTrashError?: (error: unknown) => void;
  onUpkeepError?: (error: unknown) => void;
  clock?: Clock;
  /** Called at each crash point. Only tests set it. */
  reached?: (point: CrashPoint) => void;
};

/** A name that no tenant has. */
const nobody = '';

/** Opens the data folder. Throws `unavailable` if git is missing or too old. */
export async function openContext(options: OpenOptions): Promise<Context> {
  const layout = new Layout(options.dataFolder);
  // Without root, sandboxes run as the stack's own user.
  const sandboxOwner = isRoot() ? sandboxUser(options.sandboxUid) : null;
  layout.create(sandboxOwner?.gid ?? null);
  if (!statSync(layout.root).isDirectory()) throw new CoppiceError('unavailable', `${layout.root} is not a folder`);
  await markUnrelated([layout.worktrees, layout.checkouts, layout.setups]);
  const refusedFolder = realpathSync(options.stackFolder ?? layout.root);
  const allowed = options.allowedRepositories ?? new AllowedRepositories(null);
  // An allowed server must not redirect git to a server that isn't allowed, since git would use the stack's credentials
  // there.
  const git = new Git(join(layout.git, 'config'), allowed.areLimited ? ['http.followRedirects=false'] : []);
  await git.start();
  const trash = new Trash(layout.trash, options.onTrashError ?? (() => {}));
  await trash.sweep();
  const locks = new Locks(layout.locks);
  await removeLeft(git, locks, layout, options.onUpkeepError ?? (() => {}));
  const known = new KnownOrigins(git, refusedFolder, allowed);
  const originsOf = (tenant: string) => known.of(tenant);
  return {
    git,
    origins: originsOf(nobody),
    originsOf,
    locks,
    layout,
    trash,
    upkeep: new Upkeep(options.clock ?? systemClock, options.onUpkeepError ?? (() => {})),
    sandboxOwner,
    node: options.node,
    disk: options.disk ?? diskSettingsDefault,
    onFolderKept: options.onFolderKept ?? (() => {}),
    importLimits: { ...importLimitsDefault, ...options.importLimits },
    reached: options.reached ?? (() => {}),
  };
}

/**
 * Removes the lock files, incomplete files and scratch folders that a killed stack left in the stores, unless they may
 * be in use.
 */
async function removeLeft(git: Git, locks: Locks, layout: Layout, onError: (error: unknown) => void): Promise<void> {
  for (const name of readdirSync(layout.repositories)) {
    if (!/^[0-9a-f]+$/.test(name)) continue;
    try {
      const store = new Store(git, locks, layout, name, null);
      await store.removeLeftLocks();
      await store.removeLeftFiles();
    } catch (error) {
      onError(error);
    }
  }
}

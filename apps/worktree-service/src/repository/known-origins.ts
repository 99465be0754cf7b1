import { realpathSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { LRUCache } from 'lru-cache';
import type { Git } from '../git/git.ts';
import { parseAddress } from './address.ts';
import type { AllowedRepositories, TenantRepositories } from './allowed-repositories.ts';
import { sharedGitDirOf } from './git-folder.ts';
import { findOrigin, type LocalOrigin, type Origin } from './origin.ts';
import { plainFileBytesMax, readPlainFile } from './plain-file.ts';

const originsMax = 1_000;

export type Origins = {
  /** Throws the errors of `findOrigin`. */
  find(address: string): Promise<Origin>;
};

/**
 * Resolves addresses to repositories and caches local ones. Each step of a task needs its repository, and resolving an
 * address takes two git processes. A cached repository is used as long as its folder and git configuration don't
 * change. It is cached only if neither changed during the lookup. The first lookup can't determine that, so the cache
 * is used from the third lookup on.
 */
export class KnownOrigins {
  readonly #git: Git;
  readonly #refusedFolder: string;
  readonly #allowed: AllowedRepositories;
  readonly #known = new LRUCache<string, { origin: LocalOrigin; marks: string; isSure: boolean }>({ max: originsMax });

  constructor(git: Git, refusedFolder: string, allowed: AllowedRepositories) {
    this.#git = git;
    this.#refusedFolder = refusedFolder;
    this.#allowed = allowed;
  }

  /** Returns a resolver that accepts only repositories the tenant may use. */
  of(tenant: string): Origins {
    const allowed = this.#allowed.of(tenant);
    return { find: (address) => this.#find(address, allowed) };
  }

  async #find(address: string, allowed: TenantRepositories): Promise<Origin> {
    const known = this.#known.get(address);
    const before = known === undefined ? '' : marksOf(address, known.origin);
    if (known?.isSure === true && known.marks === before) {
      // The cache entry may come from another tenant's lookup, so the address is checked for this tenant.
      allowed.requireName(parseAddress(address), address);
      allowed.requireFolder(known.origin.address, address);
      // The owner may have changed the content of the git directory since the last check.
      allowed.requireGitDir(known.origin.gitDir, address);
      return known.origin;
    }
    const origin = await findOrigin(this.#git, address, { refusedFolder: this.#refusedFolder, allowed });
    if (origin.kind === 'remote') return origin;
    const marks = marksOf(address, origin);
    this.#known.set(address, { origin, marks, isSure: marks !== '' && marks === before });
    return origin;
  }
}

const includes = /\[\s*include/i;

/**
 * Returns a fingerprint of a repository's folder and configuration. Returns '' if the folder no longer exists or leads
 * to another repository, or if the configuration is too large or includes other files.
 */
function marksOf(address: string, origin: LocalOrigin): string {
  const parsed = parseAddress(address);
  const config = readPlainFile(join(origin.gitDir, 'config'));
  if (parsed.kind !== 'local' || config === undefined || includes.test(config)) return '';
  // `readPlainFile` has truncated the file, so a change after the limit would go unnoticed.
  if (Buffer.byteLength(config) >= plainFileBytesMax) return '';
  try {
    const folder = realpathSync(parsed.path);
    if (sharedGitDirOf(folder) !== origin.gitDir) return '';
    const link = readPlainFile(join(folder, '.git')) ?? identityOf(join(folder, '.git'));
    const ofWorktree = readPlainFile(join(origin.gitDir, 'config.worktree'));
    return JSON.stringify([folder, identityOf(folder), identityOf(origin.gitDir), link, config, ofWorktree]);
  } catch {
    return '';
  }
}

/** Returns the identity of a file or folder. It contains no times, since these change with the content. */
function identityOf(path: string): string {
  const stat = statSync(path, { bigint: true, throwIfNoEntry: false });
  return stat === undefined ? 'absent' : `${stat.dev} ${stat.ino} ${stat.uid} ${stat.gid}`;
}

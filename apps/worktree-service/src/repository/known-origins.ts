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

/** Resolves addresses to repositories. */
export type Origins = {
  /** Throws the errors of `findOrigin`. */
  find(address: string): Promise<Origin>;
};

/**
 * Resolves addresses to repositories and caches the results, since each step of a task needs a repository and resolving one takes two git
 * processes. What git reports about a user's repository depends on the folder and the configuration. If one of them changes, the address is
 * resolved again. A result is cached only if both were the same before and after it was determined. The first lookup has no earlier state
 * to compare with, so the cache is used from the third lookup on.
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
      // The owner may have changed the content of the git directory since it was cached.
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
 * Returns a fingerprint of the folder and configuration that determine a repository. Returns '' if it can't be fingerprinted: the folder
 * doesn't exist any more or leads to another repository, or the configuration includes other files.
 */
function marksOf(address: string, origin: LocalOrigin): string {
  const parsed = parseAddress(address);
  const config = readPlainFile(join(origin.gitDir, 'config'));
  if (parsed.kind !== 'local' || config === undefined || includes.test(config)) return '';
  // The file was truncated, so changes beyond the limit would go unnoticed.
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

import { realpathSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Git } from '../git/git.ts';
import { Remembered } from '../git/remembered.ts';
import { parseAddress } from './address.ts';
import type { AllowedRepositories, TenantRepositories } from './allowed-repositories.ts';
import { sharedGitDirOf } from './git-folder.ts';
import { findOrigin, type LocalOrigin, type Origin } from './origin.ts';
import { plainFileBytesMax, readPlainFile } from './plain-file.ts';

const originsMax = 1_000;

/** Finds what addresses name. */
export type Origins = {
  /** Throws as `findOrigin` does. */
  find(address: string): Promise<Origin>;
};

/**
 * Finds what addresses name, and remembers it while it is the same: each step of a task asks again, and git takes two processes to tell.
 * What a user's repository is, git reads from its folder and its configuration; where one of them is another now, it is asked anew.
 * An answer counts when both were the same before and after it was given, which the second look shows.
 */
export class KnownOrigins {
  readonly #git: Git;
  readonly #refusedFolder: string;
  readonly #allowed: AllowedRepositories;
  readonly #known = new Remembered<{ origin: LocalOrigin; marks: string; isSure: boolean }>(originsMax);

  constructor(git: Git, refusedFolder: string, allowed: AllowedRepositories) {
    this.#git = git;
    this.#refusedFolder = refusedFolder;
    this.#allowed = allowed;
  }

  /** Those that a tenant may name. */
  of(tenant: string): Origins {
    const allowed = this.#allowed.of(tenant);
    return { find: (address) => this.#find(address, allowed) };
  }

  async #find(address: string, allowed: TenantRepositories): Promise<Origin> {
    const known = this.#known.get(address);
    const before = known === undefined ? '' : marksOf(address, known.origin);
    if (known?.isSure === true && known.marks === before) {
      // Another tenant may have asked before.
      allowed.requireName(parseAddress(address), address);
      allowed.requireFolder(known.origin.address, address);
      // Its owner may have changed what is in it since.
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
 * '' for what can't be told from its own folder alone: it isn't there any more, the folder leads to another, or its configuration lies
 * elsewhere, too.
 */
function marksOf(address: string, origin: LocalOrigin): string {
  const parsed = parseAddress(address);
  const config = readPlainFile(join(origin.gitDir, 'config'));
  if (parsed.kind !== 'local' || config === undefined || includes.test(config)) return '';
  // What was cut may be another behind the cut.
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

/** Not its times: a folder changes with what is in it. */
function identityOf(path: string): string {
  const stat = statSync(path, { bigint: true, throwIfNoEntry: false });
  return stat === undefined ? 'absent' : `${stat.dev} ${stat.ino} ${stat.uid} ${stat.gid}`;
}

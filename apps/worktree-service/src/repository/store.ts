/**
 * The two bare repositories that the host keeps for each repository of a user.
 *
 * - `origin.git` receives fetches only. It is a full copy, so a garbage collection in the user's repository can't break
 *   it. Sandboxes see it read-only.
 * - `tasks.git` borrows the objects of `origin.git`, and contains the commits and refs of tasks. Sandboxes never see
 *   it.
 *
 * Invariants:
 * 1. Both stores appear together, by a rename. So no process ever finds a half-created store.
 * 2. origin.git is never garbage-collected, since tasks.git and sandboxes borrow its objects. tasks.git is
 *    garbage-collected while no task uses it: see disk/collect.ts.
 * 3. No attribute of a repository changes bytes in the stores, since `info/attributes` turns conversions off and
 *    overrides every .gitattributes file.
 * 4. Only the stack's user can enter the folder of the stores. If that user is root, the sandboxes' group can also
 *    enter the folder, but not list it.
 * 5. A commit counts as fetched once a ref of origin.git reaches it. Refs move last, after git has checked that all
 *    reachable objects exist. Without a ref, the commit's files may be missing, since its fetch may still run or was
 *    interrupted.
 * 6. Task branches move by compare-and-set. At any time, at most one process creates or fetches into a store.
 * 7. Every git command that may lock a file in a store runs through the store's writers: see store-writers.ts. A
 *    command that locks refs can't be cancelled. A fetch can be cancelled, since it moves no ref and locks at most the
 *    file `shallow`.
 */
import { createHash, randomUUID } from 'node:crypto';
import {
  appendFileSync,
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { CoppiceError } from '@coppice/contracts';
import { gitLimits, type Git, type GitOptions, type GitResult } from '../git/git.ts';
import { linkGitDir } from '../git/linked-git-dir.ts';
import { readRefs, refTransaction } from '../git/refs.ts';
import { StoreWriters } from '../git/store-writers.ts';
import type { Layout } from '../layout.ts';
import type { Locks } from '../lock.ts';
import { removePartial, upkeepLimits } from '../upkeep.ts';
import { branchState, commitId, type BranchState, type Origin } from './origin.ts';

/** Attributes that turn off all conversions between stored and checked-out bytes. `diff` and `merge` attributes still apply. */
export const rawAttributes = '* -text -eol -crlf -filter -ident -working-tree-encoding\n';

const fetchTriesMax = 3;
const scratchPrefix = 'scratch-';
/** Number of packs after which git writes a new index over all packs. Each pack that isn't in that index slows down every git process. */
const packsPerIndex = 50;

const settings = `[core]
	autocrlf = false
	symlinks = true
	filemode = true
	protectHFS = true
	protectNTFS = true
	logAllRefUpdates = false
[gc]
	auto = 0
	pruneExpire = never
	worktreePruneExpire = never
[maintenance]
	auto = false
`;

/**
 * Returns the name of a fetched ref in origin.git. The names are flat. With nested names, a branch `a/b` would conflict
 * with the leftover ref of a deleted branch `a`.
 */
const fetchedRef = (ref: string): string =>
  `refs/fetched/${createHash('sha256').update(ref).digest('hex').slice(0, 40)}`;

/**
 * If the stack runs as root, upload-pack runs as the owner of the user's repository, since the owner controls its
 * configuration.
 */
function asOwner(origin: Origin): string[] {
  if (origin.kind !== 'local' || origin.account === null) return [];
  const { uid, gid } = origin.account;
  return [`--upload-pack=setpriv --reuid=${uid} --regid=${gid} --clear-groups git-upload-pack`];
}

export class Store {
  readonly repositoryId: string;
  readonly originGit: string;
  readonly tasksGit: string;
  readonly #git: Git;
  readonly #locks: Locks;
  readonly #folder: string;
  readonly #sandboxGid: number | null;
  readonly #originWriters: StoreWriters;
  readonly #tasksWriters: StoreWriters;

  /**
   * `sandboxGid` is the group that may enter the folder of the stores, or null if sandboxes run as the stack's own
   * user.
   */
  constructor(git: Git, locks: Locks, layout: Layout, repositoryId: string, sandboxGid: number | null) {
    this.#sandboxGid = sandboxGid;
    this.repositoryId = repositoryId;
    this.#git = git;
    this.#locks = locks;
    this.#folder = layout.repository(repositoryId);
    this.originGit = join(this.#folder, 'origin.git');
    this.tasksGit = join(this.#folder, 'tasks.git');
    const writers = (name: string) =>
      new StoreWriters(git, locks, {
        gitDir: join(this.#folder, `${name}.git`),
        file: join(this.#folder, `${name}.writers`),
        name: `left-locks-${name}-${repositoryId}`,
      });
    this.#originWriters = writers('origin');
    this.#tasksWriters = writers('tasks');
  }

  get tasks(): GitOptions {
    return { gitDir: this.tasksGit };
  }

  /**
   * Returns the path of a temporary folder for one operation. The operation creates and removes the folder while it
   * holds the lock `name`.
   */
  scratchFolder(name: string): string {
    return join(this.#folder, `${scratchPrefix}${name}`);
  }

  get exists(): boolean {
    return existsSync(this.#folder);
  }

  async create(objectFormat: string, signal?: AbortSignal): Promise<void> {
    // Earlier versions created this folder so that every user can enter it.
    if (this.exists) return this.#close(this.#folder);
    const make = async () => {
      if (this.exists) return;
      const folder = `${this.#folder}.new-${randomUUID()}`;
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      try {
        this.#close(folder);
        await this.#initialise(join(folder, 'origin.git'), objectFormat);
        await this.#initialise(join(folder, 'tasks.git'), objectFormat);
        // tasks.git's `shallow` file is a link. So if the origin is shallow, history ends at the same commits in both stores.
        symlinkSync('../origin.git/shallow', join(folder, 'tasks.git/shallow'));
        writeFileSync(join(folder, 'tasks.git/objects/info/alternates'), '../../origin.git/objects\n');
        renameSync(folder, this.#folder);
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    };
    await this.#locks.hold(`repository-${this.repositoryId}`, make, { signal });
  }

  /** Lets only the stack's user and the sandboxes' group enter the folder, since the repository may be private. */
  #close(folder: string): void {
    if (this.#sandboxGid !== null) chownSync(folder, 0, this.#sandboxGid);
    chmodSync(folder, this.#sandboxGid === null ? 0o700 : 0o710);
  }

  async #initialise(gitDir: string, objectFormat: string): Promise<void> {
    // A sandbox's user reads origin.git, but must not reach tasks.git, which contains other tasks' work.
    const shared = gitDir.endsWith('origin.git') ? ['--shared=0644'] : [];
    await this.#git.run([
      'init',
      '--quiet',
      '--bare',
      '--template=',
      '--initial-branch=none',
      `--object-format=${objectFormat}`,
      ...shared,
      '--',
      gitDir,
    ]);
    appendFileSync(join(gitDir, 'config'), settings);
    mkdirSync(join(gitDir, 'info'), { recursive: true });
    writeFileSync(join(gitDir, 'info/attributes'), rawAttributes);
    mkdirSync(join(gitDir, 'objects/info'), { recursive: true });
    if (shared.length === 0) chmodSync(gitDir, 0o700);
  }

  /** Reports whether tasks.git has a commit. A positive result is remembered until garbage is collected. */
  has(commit: string, signal?: AbortSignal): Promise<boolean> {
    const options = { ...this.tasks, answers: [1, 128], signal };
    return this.#git.holds(this.#fact('tasks', commit), ['cat-file', '-e', `${commit}^{commit}`], options);
  }

  /** Makes `has` remember that tasks.git has a commit that was just created there. */
  learn(commit: string): void {
    this.#git.learn(this.#fact('tasks', commit));
  }

  /**
   * Returns the key of a remembered fact. It contains the folder's inode, since a store that was deleted by hand and
   * created again lacks the old objects.
   */
  #fact(where: string, commit: string): string {
    const stat = statSync(this.#folder, { bigint: true, throwIfNoEntry: false });
    // A garbage collection may remove commits, so its time is part of the key.
    const collected = statSync(join(this.tasksGit, 'coppice-collected'), { throwIfNoEntry: false })?.mtimeMs ?? 0;
    return `${this.#folder} ${stat?.ino} ${stat?.birthtimeNs} ${collected} ${where} ${commit}`;
  }

  refs(names: string[], signal?: AbortSignal): Promise<Map<string, string>> {
    return readRefs(this.#git, { ...this.tasks, signal }, names);
  }

  isAncestor(ancestor: string, descendant: string, signal?: AbortSignal): Promise<boolean> {
    return this.#git.test(['merge-base', '--is-ancestor', ancestor, descendant], { ...this.tasks, signal });
  }

  /** Returns the id of the object that a revision names in tasks.git; undefined if there is none. */
  async resolve(revision: string, signal?: AbortSignal): Promise<string | undefined> {
    const { exitCode, stdout } = await this.#git.run(
      ['rev-parse', '--verify', '--quiet', '--end-of-options', revision],
      {
        ...this.tasks,
        answers: [1],
        signal,
      },
    );
    return exitCode === 0 ? stdout.toString().trim() : undefined;
  }

  /**
   * Changes several refs of tasks.git atomically. Throws `git-contention` if one has moved. A signal can only prevent
   * its start.
   */
  async updateRefs(commands: string[], signal?: AbortSignal): Promise<void> {
    const input = refTransaction(commands);
    await this.#tasksWriters.run(['update-ref', '--stdin'], { input, signal, runsToEnd: true });
  }

  /** Runs a git command that may lock files in tasks.git other than refs. */
  maintain(args: readonly string[], options: GitOptions): Promise<GitResult> {
    return this.#tasksWriters.run(args, options);
  }

  /** Removes stale lock files of killed processes if none of Coppice's git processes is running. Called when the service starts. */
  async removeLeftLocks(): Promise<void> {
    for (const writers of [this.#originWriters, this.#tasksWriters]) await writers.removeLeft();
  }

  /**
   * Removes scratch folders and incomplete files that killed processes left, except those that may be in use. Called
   * when the service starts.
   */
  async removeLeftFiles(): Promise<void> {
    removePartial(this.tasksGit, Date.now(), upkeepLimits.partialAgeMs);
    for (const entry of readdirSync(this.#folder).filter((name) => name.startsWith(scratchPrefix))) {
      const remove = async () => rmSync(join(this.#folder, entry), { recursive: true, force: true });
      await this.#locks.hold(entry.slice(scratchPrefix.length), remove, { waitMsMax: 0 }).catch((error: unknown) => {
        if (!(error instanceof CoppiceError && error.code === 'git-contention')) throw error;
      });
    }
  }

  /** Reads the state of a branch and makes sure that its commit is in origin.git. */
  async fetchTip(origin: Origin, branch: string, field: string, signal?: AbortSignal): Promise<BranchState> {
    await this.create(origin.kind === 'local' ? origin.objectFormat : 'sha1', signal);
    for (let tries = 0; tries < fetchTriesMax; tries++) {
      const state = await branchState(this.#git, origin, branch, field, signal);
      if (await this.#isFetched(branch, state, signal)) return state;
      await this.#fetch(origin, branch, state, signal);
      if (await this.#isFetched(branch, state, signal)) return state;
      // The branch has moved during the fetch.
    }
    throw new CoppiceError('git-contention', `${field}: ${branch} moves faster than it can be fetched`);
  }

  /**
   * Checks invariant 5. Any ancestor of the fetched ref counts as fetched, since the branch may have moved between the lookup of its tip
   * and the fetch.
   */
  #isFetched(branch: string, { tip, pendingRef }: BranchState, signal?: AbortSignal): Promise<boolean> {
    const ref = fetchedRef(pendingRef ?? `refs/heads/${branch}`);
    const options = { gitDir: this.originGit, answers: [1, 128], signal };
    return this.#git.holds(this.#fact('origin', tip), ['merge-base', '--is-ancestor', tip, ref], options);
  }

  async #fetch(origin: Origin, branch: string, state: BranchState, signal?: AbortSignal): Promise<void> {
    const refs = [`refs/heads/${branch}`, ...(state.pendingRef === null ? [] : [state.pendingRef])];
    const source = origin.kind === 'local' ? origin.gitDir : origin.address;
    await this.#locks.hold(
      `fetch-${this.repositoryId}`,
      async () => {
        if (await this.#isFetched(branch, state, signal)) return;
        await this.#removeLeft();
        const fetched = await this.#fetchObjects(origin, source, refs, signal);
        const commands = fetched.map((commit, index) => `update ${fetchedRef(refs[index] ?? '')} ${commit}`);
        const input = refTransaction(commands);
        await this.#originWriters.run(['update-ref', '--stdin'], { input, signal, runsToEnd: true });
        await this.#indexPacks(signal);
      },
      { signal, waitMsMax: gitLimits.timeMsLong },
    );
  }

  /**
   * Fetches the refs and returns their commits in the same order. Can be cancelled at any time, since git moves no ref
   * of the store and writes FETCH_HEAD to a temporary git directory.
   */
  async #fetchObjects(origin: Origin, source: string, refs: string[], signal?: AbortSignal): Promise<string[]> {
    const own = join(this.#folder, `fetch-${randomUUID()}`);
    linkGitDir(own, this.originGit);
    try {
      const options = ['--quiet', '--no-tags', '--no-auto-gc', '--update-shallow', ...asOwner(origin)];
      await this.#originWriters.run(['fetch', ...options, '--', source, ...refs], {
        gitDir: own,
        // A remote needs the user's credentials. A local repository is read with Coppice's own git configuration.
        as: origin.kind === 'local' ? 'service' : 'user',
        timeLimitMs: gitLimits.timeMsLong,
        signal,
      });
      const lines = readFileSync(join(own, 'FETCH_HEAD'), 'utf8').split('\n').slice(0, refs.length);
      return lines.map((line) => commitId(line.split('\t')[0] ?? '', 'FETCH_HEAD'));
    } finally {
      rmSync(own, { recursive: true, force: true });
    }
  }

  /**
   * Removes the files that killed fetches left. The caller holds the fetch lock. A git process of a killed service may
   * still be running.
   */
  async #removeLeft(): Promise<void> {
    removePartial(this.originGit, Date.now(), upkeepLimits.partialAgeMsLocked);
    for (const name of readdirSync(this.#folder))
      if (name.startsWith('fetch-')) rmSync(join(this.#folder, name), { recursive: true, force: true });
    await this.#originWriters.removeLeft();
  }

  /**
   * Writes an index over all packs after every 50th pack. Packs are never removed, since other processes may have them
   * open.
   */
  async #indexPacks(signal?: AbortSignal): Promise<void> {
    const packs = readdirSync(join(this.originGit, 'objects/pack')).filter((name) => name.endsWith('.idx'));
    if (packs.length === 0 || packs.length % packsPerIndex !== 0) return;
    await this.#originWriters.run(['multi-pack-index', 'write', '--no-progress'], { signal, runsToEnd: true });
  }
}

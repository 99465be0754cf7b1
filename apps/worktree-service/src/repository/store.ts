/**
 * The two host-owned bare stores of one origin repository.
 *
 * - `origin.git` is only ever fetched into. A full copy: the user's own gc can't break it. Sandboxes see it read-only.
 * - `tasks.git` borrows its objects, and holds imports, task branches, rescue and done refs. No sandbox ever sees it.
 *
 * Invariants:
 * 1. Both appear at once, by a rename: a half-made store is never found.
 * 2. origin.git never collects garbage: tasks.git and sandboxes borrow its objects. tasks.git does when no task uses it: see disk/collect.ts.
 * 3. No attribute of a repository changes bytes here: `info/attributes`, which wins over every .gitattributes, turns conversions off.
 * 4. No other user of this machine gets into the folder of both: only the stack's, and where that is root, the sandboxes' group, which can
 *    pass but not list.
 * 5. A commit counts as fetched once a ref of origin.git has it in its history: these move last, when git has seen that all that they reach
 *    is there. That an object is there says nothing of what it names: a fetch may be under way, or have been cut.
 * 6. Refs of one ref name move by compare-and-set. One process at a time makes a store, and one fetches into it.
 * 7. What may lock something in a store runs through its writers (see store-writers.ts), and runs to its end, but for a fetch: that locks at most
 *    the file `shallow`, and moves no ref.
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

/** Bytes are checked out as they are stored, and stored as they are read. `diff` and `merge` attributes are left alone. */
export const rawAttributes = '* -text -eol -crlf -filter -ident -working-tree-encoding\n';

const fetchTriesMax = 3;
const scratchPrefix = 'scratch-';
/** So many packs more, and git gets a new index over all of them: each that it must look through alone slows every process down. */
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

/** Flat names: a branch `a/b` that replaces a deleted branch `a` would not fit beside it. */
const fetchedRef = (ref: string): string =>
  `refs/fetched/${createHash('sha256').update(ref).digest('hex').slice(0, 40)}`;

/** Where the stack is root, what reads a user's repository is that user: its configuration is theirs. */
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

  /** `sandboxGid`: the group that may pass through to origin.git; null where sandboxes run as the stack's own user. */
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

  /** Options to run git in tasks.git. */
  get tasks(): GitOptions {
    return { gitDir: this.tasksGit };
  }

  /** A folder for git's own use during one operation, which makes and removes it while it holds the lock `name`. Sandboxes don't see it. */
  scratchFolder(name: string): string {
    return join(this.#folder, `${scratchPrefix}${name}`);
  }

  get exists(): boolean {
    return existsSync(this.#folder);
  }

  async create(objectFormat: string, signal?: AbortSignal): Promise<void> {
    // One that an earlier version made was open to all.
    if (this.exists) return this.#close(this.#folder);
    const make = async () => {
      if (this.exists) return;
      const folder = `${this.#folder}.new-${randomUUID()}`;
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      try {
        this.#close(folder);
        await this.#initialise(join(folder, 'origin.git'), objectFormat);
        await this.#initialise(join(folder, 'tasks.git'), objectFormat);
        // A shallow origin's history ends for both where it ends for the one.
        symlinkSync('../origin.git/shallow', join(folder, 'tasks.git/shallow'));
        writeFileSync(join(folder, 'tasks.git/objects/info/alternates'), '../../origin.git/objects\n');
        renameSync(folder, this.#folder);
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    };
    await this.#locks.hold(`repository-${this.repositoryId}`, make, { signal });
  }

  /** Other users of this machine must not read what may be a private repository; a sandbox's user may pass, not list. */
  #close(folder: string): void {
    if (this.#sandboxGid !== null) chownSync(folder, 0, this.#sandboxGid);
    chmodSync(folder, this.#sandboxGid === null ? 0o700 : 0o710);
  }

  async #initialise(gitDir: string, objectFormat: string): Promise<void> {
    // A sandbox's user reads the one, and must not reach the other: it holds other tasks' work.
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

  /** A commit that was there once is there until garbage is collected. */
  has(commit: string, signal?: AbortSignal): Promise<boolean> {
    const options = { ...this.tasks, answers: [1, 128], signal };
    return this.#git.holds(this.#fact('tasks', commit), ['cat-file', '-e', `${commit}^{commit}`], options);
  }

  /** Tells `has` of a commit that was just made. */
  learn(commit: string): void {
    this.#git.learn(this.#fact('tasks', commit));
  }

  /** Of this very store: one that was deleted by hand, and made again, has lost what the other had. */
  #fact(where: string, commit: string): string {
    const stat = statSync(this.#folder, { bigint: true, throwIfNoEntry: false });
    // What was there before garbage was collected need not be any more.
    const collected = statSync(join(this.tasksGit, 'coppice-collected'), { throwIfNoEntry: false })?.mtimeMs ?? 0;
    return `${this.#folder} ${stat?.ino} ${stat?.birthtimeNs} ${collected} ${where} ${commit}`;
  }

  /** Refs of tasks.git: see readRefs. */
  refs(names: string[], signal?: AbortSignal): Promise<Map<string, string>> {
    return readRefs(this.#git, { ...this.tasks, signal }, names);
  }

  isAncestor(ancestor: string, descendant: string, signal?: AbortSignal): Promise<boolean> {
    return this.#git.test(['merge-base', '--is-ancestor', ancestor, descendant], { ...this.tasks, signal });
  }

  /** The commit (or other object) that a revision of tasks.git names; undefined where there is none. */
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

  /** Several changes of refs of tasks.git, all or none. Throws `git-contention` where one has moved. Once begun, it isn't aborted. */
  async updateRefs(commands: string[], signal?: AbortSignal): Promise<void> {
    const input = refTransaction(commands);
    await this.#tasksWriters.run(['update-ref', '--stdin'], { input, signal, runsToEnd: true });
  }

  /** Runs a git that may lock something in tasks.git other than refs. */
  maintain(args: readonly string[], options: GitOptions): Promise<GitResult> {
    return this.#tasksWriters.run(args, options);
  }

  /** Removes lock files that killed processes have left, where no git of ours is at work. For the start of the service. */
  async removeLeftLocks(): Promise<void> {
    for (const writers of [this.#originWriters, this.#tasksWriters]) await writers.removeLeft();
  }

  /** Removes what killed processes have left beside and in the stores, but what may be in use. For the start of the service. */
  async removeLeftFiles(): Promise<void> {
    removePartial(this.tasksGit, Date.now(), upkeepLimits.partialAgeMs);
    for (const entry of readdirSync(this.#folder).filter((name) => name.startsWith(scratchPrefix))) {
      const remove = async () => rmSync(join(this.#folder, entry), { recursive: true, force: true });
      await this.#locks.hold(entry.slice(scratchPrefix.length), remove, { waitMsMax: 0 }).catch((error: unknown) => {
        if (!(error instanceof CoppiceError && error.code === 'git-contention')) throw error;
      });
    }
  }

  /** Where the branch stands now, with its commit in origin.git. */
  async fetchTip(origin: Origin, branch: string, field: string, signal?: AbortSignal): Promise<BranchState> {
    await this.create(origin.kind === 'local' ? origin.objectFormat : 'sha1', signal);
    for (let tries = 0; tries < fetchTriesMax; tries++) {
      const state = await branchState(this.#git, origin, branch, field, signal);
      if (await this.#isFetched(branch, state, signal)) return state;
      await this.#fetch(origin, branch, state, signal);
      if (await this.#isFetched(branch, state, signal)) return state;
      // The branch moved in between.
    }
    throw new CoppiceError('git-contention', `${field}: ${branch} moves faster than it can be fetched`);
  }

  /** Invariant 5. Its history, since the branch may have gone on when it was fetched. */
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
   * Fetches, and returns the commits of the refs in their order. No ref is moved and nothing of git's own noted in the store, so that it can be
   * aborted at any time: FETCH_HEAD, which names the commits, goes to a git directory of this fetch's own.
   */
  async #fetchObjects(origin: Origin, source: string, refs: string[], signal?: AbortSignal): Promise<string[]> {
    const own = join(this.#folder, `fetch-${randomUUID()}`);
    linkGitDir(own, this.originGit);
    try {
      const options = ['--quiet', '--no-tags', '--no-auto-gc', '--update-shallow', ...asOwner(origin)];
      await this.#originWriters.run(['fetch', ...options, '--', source, ...refs], {
        gitDir: own,
        // Towards a remote, the user's credentials are needed; a local repository is read with our own configuration.
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

  /** What fetches that were killed have left. The caller holds the fetch lock; a git may have outlived its process. */
  async #removeLeft(): Promise<void> {
    removePartial(this.originGit, Date.now(), upkeepLimits.partialAgeMsLocked);
    for (const name of readdirSync(this.#folder))
      if (name.startsWith('fetch-')) rmSync(join(this.#folder, name), { recursive: true, force: true });
    await this.#originWriters.removeLeft();
  }

  /** Each fetch leaves a pack, and none is ever taken away: others may have it open. */
  async #indexPacks(signal?: AbortSignal): Promise<void> {
    const packs = readdirSync(join(this.originGit, 'objects/pack')).filter((name) => name.endsWith('.idx'));
    if (packs.length === 0 || packs.length % packsPerIndex !== 0) return;
    await this.#originWriters.run(['multi-pack-index', 'write', '--no-progress'], { signal, runsToEnd: true });
  }
}

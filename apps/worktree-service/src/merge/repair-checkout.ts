/**
 * A checkout of the user's in which git was stopped while it brought a branch forward, made what it was before.
 *
 * Git changes files first, one after the other, then the index, then the branch. So one that was stopped has left files of the new commit, at most
 * one that is cut off or missing, and perhaps the new index; where it was ended by SIGKILL, its `index.lock` too.
 *
 * Invariants:
 * 1. Only what is surely of that landing is taken back: a file that is the new commit's, byte for byte as git reads it, or one that is a
 *    beginning of it. Whatever else differs is the user's, and stays.
 * 2. What changes files is the user's git, which looks at each once more before it changes the first, and refuses all where one is another.
 * 3. `index.lock` is never removed: it may be of a git of the user's. They are told.
 */
import { chownSync, lstatSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Context } from '../context.ts';
import { gitLimits, nulSeparated, type GitOptions } from '../git/git.ts';
import type { LocalOrigin } from '../repository/origin.ts';
import type { Begun } from './begun.ts';
import { inCheckout } from './user-worktrees.ts';

/** A git that outlived this service's process ends by itself; how long is waited for it. */
const lockWaitMsMax = 5_000;
const lockPollMs = 100;
/** Git writes one file after the other. */
const cutOffMax = 1;
const absent = '000000';

/**
 * Null where the checkout is what it was, or the user has gone on from there; else why it is not. The caller holds the repository's landing
 * lock, and has seen that the branch is still where the landing began.
 */
export async function repairCheckout(
  context: Context,
  origin: LocalOrigin,
  begun: Begun,
  signal?: AbortSignal,
): Promise<string | null> {
  const { path, branch, from, to } = begun;
  if (lstatSync(path, { throwIfNoEntry: false }) === undefined) return null;
  const options = { ...inCheckout(origin, path), signal };
  const places = ['rev-parse', '--path-format=absolute', '--absolute-git-dir', '--git-path', 'index.lock'];
  const [head, known] = await Promise.all([
    context.git.text(['symbolic-ref', '--quiet', 'HEAD'], { ...options, answers: [1] }),
    context.git.text(places, options),
  ]);
  if (head !== `refs/heads/${branch}`) return null;
  const [gitDir = '', lock = ''] = known.split('\n');
  if (!(await isFree(lock, signal)))
    return `git was stopped while it brought ${branch} to ${to} in ${path}, or another is at work there: ${lock} is there; once no git runs, remove it`;
  const repair = new Repair(context, { ...options, gitDir, workTree: path }, begun);
  const isIndexOf = (commit: string) =>
    context.git.test(['diff-index', '--cached', '--quiet', commit, '--'], { ...repair.options, answers: [1] });
  const isDone = (await isIndexOf(from)) ? await repair.files(origin) : (await isIndexOf(to)) && (await repair.all());
  return isDone
    ? null
    : `git was stopped while it brought ${branch} to ${to} in ${path}: what is changed there is of that, or yours`;
}

async function isFree(lock: string, signal: AbortSignal | undefined): Promise<boolean> {
  const isThere = () => lstatSync(lock, { throwIfNoEntry: false }) !== undefined;
  for (let waitedMs = 0; waitedMs < lockWaitMsMax && isThere(); waitedMs += lockPollMs)
    await sleep(lockPollMs, undefined, { signal });
  return !isThere();
}

type Side = { mode: string; objectId: string };
/** A path that the landing changes, with what it is on both sides. */
type Change = { path: string; from: Side; to: Side };

class Repair {
  readonly options: GitOptions;
  readonly #context: Context;
  readonly #begun: Begun;

  constructor(context: Context, options: GitOptions, begun: Begun) {
    this.#context = context;
    this.options = options;
    this.#begun = begun;
  }

  /** Git had come to the index: it takes everything back itself, or nothing. */
  all(): Promise<boolean> {
    return this.#back(this.#begun.to, this.#begun.from, this.options);
  }

  /** Git had changed files alone. */
  async files(origin: LocalOrigin): Promise<boolean> {
    const folder = mkdtempSync(join(tmpdir(), 'coppice-repair-'));
    if (origin.account !== null) chownSync(folder, origin.account.uid, origin.account.gid);
    const indexAt = (name: string): GitOptions => ({ ...this.options, indexFile: join(folder, name) });
    try {
      const changes = await this.#changes();
      const [unlikeOld, unlikeNew] = [
        await this.#unlike(changes, 'from', indexAt('from')),
        await this.#unlike(changes, 'to', indexAt('to')),
      ];
      const whole = changes.filter(({ path }) => unlikeOld.has(path) && !unlikeNew.has(path));
      const others = changes.filter(({ path }) => unlikeOld.has(path) && unlikeNew.has(path));
      const cutOff: Change[] = [];
      for (const change of others) {
        const left = await this.#asCutOff(change);
        if (left !== undefined) cutOff.push({ ...change, to: left });
      }
      const ours = cutOff.length > cutOffMax ? whole : [...whole, ...cutOff];
      if (ours.length === 0) return others.length === 0;
      const present = indexAt('present');
      const [now, before] = [
        await this.#treeOf(ours, 'to', present),
        await this.#treeOf(ours, 'from', indexAt('before')),
      ];
      return (await this.#back(now, before, present)) && ours.length === whole.length + others.length;
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }

  async #changes(): Promise<Change[]> {
    const { from, to } = this.#begun;
    const args = ['diff-tree', '-r', '-z', '--raw', '--no-abbrev', '--no-renames', '--no-ext-diff', from, to];
    const fields = nulSeparated((await this.#context.git.run(args, this.options)).stdout);
    const changes: Change[] = [];
    for (let index = 0; index + 1 < fields.length; index += 2) {
      const [modeFrom = '', modeTo = '', idFrom = '', idTo = ''] = (fields[index] ?? '').slice(1).split(' ');
      const path = fields[index + 1] ?? '';
      changes.push({ path, from: { mode: modeFrom, objectId: idFrom }, to: { mode: modeTo, objectId: idTo } });
    }
    return changes;
  }

  /** The paths whose files aren't those of a side. */
  async #unlike(changes: Change[], side: 'from' | 'to', index: GitOptions): Promise<Set<string>> {
    await this.#fill(changes, side, index);
    const { stdout } = await this.#context.git.run(['diff-files', '-z', '--name-only', '--no-ext-diff'], index);
    const unlike = new Set(nulSeparated(stdout));
    for (const { path, [side]: wanted } of changes) if (wanted.mode === absent && this.#isThere(path)) unlike.add(path);
    return unlike;
  }

  async #treeOf(changes: Change[], side: 'from' | 'to', index: GitOptions): Promise<string> {
    await this.#fill(changes, side, index);
    return this.#context.git.text(['write-tree'], index);
  }

  /** An index of what the changed paths are on a side, and nothing else, which knows which of the files are so. */
  async #fill(changes: Change[], side: 'from' | 'to', index: GitOptions): Promise<void> {
    const lines = changes
      .filter((change) => change[side].mode !== absent)
      .map(({ path, [side]: { mode, objectId } }) => `${mode} ${objectId} 0\t${path}\0`);
    const input = Buffer.from(lines.join(''), 'latin1');
    await this.#context.git.run(['update-index', '-z', '--index-info'], { ...index, input });
    await this.#context.git.run(['update-index', '-q', '--refresh'], { ...index, answers: [1] });
  }

  /** What is left of a file that git was about to write; undefined for what isn't of it. */
  async #asCutOff({ path, to }: Change): Promise<Side | undefined> {
    if (to.mode === absent) return undefined;
    if (!this.#isThere(path)) return { mode: absent, objectId: '' };
    const file = Buffer.from(`${Buffer.from(this.#begun.path).toString('latin1')}/${path}`, 'latin1');
    if (lstatSync(file).isSymbolicLink() || !lstatSync(file).isFile()) return undefined;
    const content = readFileSync(file);
    const name = Buffer.from(path, 'latin1').toString('utf8');
    const filtered = ['cat-file', '--filters', `--path=${name}`, to.objectId];
    const whole = (await this.#context.git.run(filtered, this.options)).stdout;
    if (content.length >= whole.length || !whole.subarray(0, content.length).equals(content)) return undefined;
    const hash = ['hash-object', '-w', '--stdin', `--path=${name}`];
    return { mode: to.mode, objectId: await this.#context.git.text(hash, { ...this.options, input: content }) };
  }

  #isThere(path: string): boolean {
    const file = Buffer.from(`${Buffer.from(this.#begun.path).toString('latin1')}/${path}`, 'latin1');
    try {
      return lstatSync(file, { throwIfNoEntry: false }) !== undefined;
    } catch {
      // A file stands where a folder would have to.
      return false;
    }
  }

  /** False where a file isn't what it should be now: then nothing is changed. */
  #back(now: string, before: string, index: GitOptions): Promise<boolean> {
    const args = ['read-tree', '-m', '-u', now, before];
    return this.#context.git.test(args, { ...index, answers: [1, 128], timeLimitMs: gitLimits.timeMsLong });
  }
}

import { closeSync, readSync, rmSync, type BigIntStats } from 'node:fs';
import { once } from 'node:events';
import type { Git, GitProcess } from '../git/git.ts';
import { linkGitDir } from '../git/linked-git-dir.ts';
import { byteString, bytesOf, fingerprint } from '../folders.ts';
import { commitId } from '../repository/origin.ts';
import type { Store } from '../repository/store.ts';
import type { TreeEntry } from '../worktree/checkout.ts';
import { blobHash } from './blob-hash.ts';
import { beneath } from './folder-handle.ts';
import { coppiceIdentity, gitDate } from './message.ts';
import { openNamed, refused, type FileChange, type Plan } from './plan.ts';
import { makeObjectFolder, moveObjects, objectBytes } from './object-folder.ts';

/**
 * Files up to this size are hashed in memory before they are sent to git. If the content is unchanged, nothing is sent.
 */
const wholeBytesMax = 4 * 1024 * 1024;
const chunkBytes = 256 * 1024;

export type CommitParts = {
  parent: string;
  message: string;
  /** RFC 3339. */
  date: string;
};

/**
 * Writes a plan as one commit to which no ref of the store points yet. One `git fast-import` process gets the contents
 * of files through a pipe. This process never reads the worktree. If nothing has changed, writes nothing and returns
 * null. An interrupted import leaves nothing in the store, since the objects are moved there from the scratch folder at
 * the end.
 */
export async function writeCommit(
  git: Git,
  store: Store,
  parts: {
    tree: string;
    /** Temporary folder. `writeCommit` creates and removes it. */
    scratch: string;
    plan: Plan;
    tracked: Map<string, TreeEntry>;
    commit: CommitParts;
    /** Called with the bytes of the new objects, before they are moved to the store. */
    onBytes?: ((bytes: number) => void) | undefined;
    signal?: AbortSignal | undefined;
  },
): Promise<string | null> {
  const feed = new Feed(git, store, parts);
  try {
    for (const path of parts.plan.deletions) await feed.write(`D ${quote(path)}\n`);
    for (const change of parts.plan.changes) {
      const tracked = parts.tracked.get(change.path);
      if (change.kind === 'link')
        await writeBlob(feed, change.path, '120000', Buffer.from(change.target, 'latin1'), tracked);
      else await writeFile(feed, parts.tree, change, tracked);
    }
    const commit = await feed.finish();
    if (feed.objects !== undefined) {
      parts.onBytes?.(objectBytes(feed.objects));
      moveObjects(feed.objects, store.tasksGit);
    }
    return commit;
  } catch (error) {
    await feed.abort();
    throw error;
  } finally {
    rmSync(parts.scratch, { recursive: true, force: true });
  }
}

/**
 * Ref that only the linked git directory has. fast-import always updates a ref. If a killed fast-import had locked a
 * ref of the store, that ref would stay locked.
 */
const ownRef = 'refs/worktree/import';

/** Stream of commands to `git fast-import`. The first change starts the process. */
class Feed {
  readonly #git: Git;
  readonly #store: Store;
  readonly #scratch: string;
  readonly #commit: CommitParts;
  readonly #signal: AbortSignal | undefined;
  #process: GitProcess | undefined;
  #said = '';
  /** Folder in which git writes the new objects. Undefined before the process is started. */
  objects: string | undefined;

  constructor(
    git: Git,
    store: Store,
    parts: { scratch: string; commit: CommitParts; signal?: AbortSignal | undefined },
  ) {
    this.#git = git;
    this.#store = store;
    this.#scratch = parts.scratch;
    this.#commit = parts.commit;
    this.#signal = parts.signal;
  }

  async write(data: string | Buffer): Promise<void> {
    if (this.#process === undefined) {
      const args = ['fast-import', '--quiet', '--done', '--force', '--date-format=raw'];
      linkGitDir(this.#scratch, this.#store.tasksGit);
      this.objects = makeObjectFolder(this.#scratch, this.#store.tasksGit);
      const environment = { GIT_OBJECT_DIRECTORY: this.objects };
      this.#process = this.#git.process(args, { gitDir: this.#scratch, environment, signal: this.#signal });
      this.#process.stdout.on('data', (chunk: Buffer) => {
        this.#said += chunk.toString('latin1');
      });
      await this.#send(this.#head());
    }
    await this.#send(data);
  }

  /** Sends data, and waits while the pipe to git is full. Rejects if git ends. */
  async #send(data: string | Buffer): Promise<void> {
    const running = this.#process;
    if (running === undefined || running.stdin.write(typeof data === 'string' ? bytesOf(data) : data)) return;
    // If the pipe breaks, git's exit gives the reason.
    const drained = once(running.stdin, 'drain').catch(() => running.ended);
    await Promise.race([drained, running.ended]);
  }

  #head(): Buffer {
    const who = `${coppiceIdentity.name} <${coppiceIdentity.email}> ${gitDate(this.#commit.date)}`;
    const message = Buffer.from(this.#commit.message);
    return Buffer.concat([
      Buffer.from(`commit ${ownRef}\nmark :1\nauthor ${who}\ncommitter ${who}\ndata ${message.length}\n`),
      message,
      Buffer.from(`\nfrom ${this.#commit.parent}\n`),
    ]);
  }

  /** Returns the commit's id, or null if there was nothing to write. */
  async finish(): Promise<string | null> {
    if (this.#process === undefined) return null;
    // Without `done`, git would accept a truncated stream as complete.
    await this.#send('\nget-mark :1\ndone\n');
    this.#process.stdin.end();
    await this.#process.ended;
    return commitId(this.#said.trim(), 'the answer of git fast-import');
  }

  async abort(): Promise<void> {
    this.#process?.kill();
    await this.#process?.ended.catch(() => {});
  }
}

async function writeFile(feed: Feed, tree: string, change: FileChange, tracked: TreeEntry | undefined): Promise<void> {
  const { descriptor, stat } = openNamed(change.path, () =>
    beneath(byteString(tree), change.path, (folder, name) => folder.file(name)),
  );
  try {
    if (fingerprint(stat) !== fingerprint(change.stat)) throw refused(change.path, 'it changed while it was read');
    if (stat.size <= BigInt(wholeBytesMax)) {
      const content = readExactly(descriptor, Number(stat.size), change.path);
      await writeBlob(feed, change.path, change.mode, content, tracked);
    } else await streamBlob(feed, descriptor, stat, change);
  } finally {
    closeSync(descriptor);
  }
}

async function writeBlob(
  feed: Feed,
  path: string,
  mode: string,
  content: Buffer,
  tracked: TreeEntry | undefined,
): Promise<void> {
  if (tracked?.mode === mode && tracked.objectId === blobId(content, tracked.objectId.length)) return;
  await feed.write(`M ${mode} inline ${quote(path)}\ndata ${content.length}\n`);
  await feed.write(content);
  await feed.write('\n');
}

async function streamBlob(feed: Feed, descriptor: number, stat: BigIntStats, change: FileChange): Promise<void> {
  await feed.write(`M ${change.mode} inline ${quote(change.path)}\ndata ${stat.size}\n`);
  for (let left = Number(stat.size); left > 0;) {
    const chunk = readExactly(descriptor, Math.min(left, chunkBytes), change.path);
    await feed.write(chunk);
    left -= chunk.length;
  }
  await feed.write('\n');
}

function readExactly(descriptor: number, bytes: number, path: string): Buffer {
  const buffer = Buffer.alloc(bytes);
  for (let offset = 0; offset < bytes;) {
    const read = readSync(descriptor, buffer, offset, bytes - offset, null);
    if (read === 0) throw refused(path, 'it changed while it was read');
    offset += read;
  }
  return buffer;
}

const blobId = (content: Buffer, digits: number): string =>
  blobHash(content.length, digits).update(content).digest('hex');

/** Quotes a path for fast-import. Special characters and bytes outside of ASCII become octal escapes. */
const quote = (path: string): string =>
  `"${path.replace(/[^ !#-[\]-~]/g, (byte) => `\\${byte.charCodeAt(0).toString(8).padStart(3, '0')}`)}"`;

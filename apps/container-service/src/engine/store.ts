/**
 * Sandboxes on disk, in `<state folder>/sandboxes/<id>/{sandbox.json,home}`. A sandbox outlives the process that
 * created it, since any process of the same stack and node finds it in these files.
 *
 * 1. Records are created atomically. A draft is linked to its final name, which fails if that name exists.
 * 2. A record never changes. A removal first renames the sandbox's folder, so that no process finds a partly removed
 *    sandbox.
 */
import { existsSync } from 'node:fs';
import { chmod, chown, link, lstat, mkdir, readdir, readFile, rename, unlink, writeFile } from 'node:fs/promises';
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { CoppiceError } from '@coppice/contracts';
import type { SandboxRecord } from './launcher.ts';
import { codeOf } from './reason.ts';
import { removeTree } from '@coppice/files';
import { checkSandboxId, homeTarget } from './specification.ts';

const recordVersion = 1;
/** Age above which a folder without a record is unused, since the creation of a sandbox takes only milliseconds. */
const creationMsMax = 60_000;

export class SandboxStore {
  readonly #folder: string;

  readonly #onTrouble: (error: unknown, what: string) => void;

  constructor(stateFolder: string, onTrouble: (error: unknown, what: string) => void) {
    this.#folder = join(stateFolder, 'sandboxes');
    this.#onTrouble = onTrouble;
  }

  homeOf(id: string): string {
    return join(this.#folder, id, 'home');
  }

  /** Stores a record. Does nothing if the same record exists. Throws `already-exists` if a different record has this id. */
  async create(record: SandboxRecord): Promise<void> {
    const folder = join(this.#folder, record.id);
    const home = this.homeOf(record.id);
    await mkdir(this.#folder, { recursive: true, mode: 0o711 });
    await mkdir(home, { recursive: true, mode: 0o700 });
    const isRoot = process.getuid?.() === 0;
    if (isRoot) await chown(home, record.user.uid, record.user.gid);
    // Other users of the machine can't enter the folder. If the stack runs as root, the sandbox's group can.
    if (isRoot) await chown(folder, 0, record.user.gid);
    await chmod(folder, isRoot ? 0o710 : 0o700);
    const path = join(folder, 'sandbox.json');
    const text = JSON.stringify({ version: recordVersion, record });
    const draft = `${path}.${randomUUID()}`;
    try {
      await writeFile(draft, text, { mode: 0o600 });
      await link(draft, path);
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') throw error;
      if ((await readFile(path, 'utf8')) !== text) {
        throw new CoppiceError('already-exists', `sandbox ${record.id} exists with another specification`);
      }
    } finally {
      await unlink(draft).catch(() => undefined);
    }
  }

  async find(id: string): Promise<SandboxRecord | undefined> {
    checkSandboxId(id);
    let text: string;
    try {
      text = await readFile(join(this.#folder, id, 'sandbox.json'), 'utf8');
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return undefined;
      throw error;
    }
    const stored = JSON.parse(text) as { version: number; record: SandboxRecord };
    if (stored.version !== recordVersion) {
      throw new CoppiceError('sandbox-failed', `sandbox ${id} was recorded by another version`, { retryable: false });
    }
    return stored.record;
  }

  /** Returns the record with the sandbox's home folder in its mounts. Throws `sandbox-not-found`. */
  async get(id: string): Promise<SandboxRecord> {
    const record = await this.find(id);
    if (record === undefined) throw new CoppiceError('sandbox-not-found', `there is no sandbox ${id}`);
    const home = { source: this.homeOf(id), target: homeTarget, readOnly: false };
    return { ...record, mounts: [home, ...record.mounts] };
  }

  async list(): Promise<{ record: SandboxRecord; createdAt: Date }[]> {
    const names = await readdir(this.#folder).catch((error: unknown) => {
      if (codeOf(error) === 'ENOENT') return [];
      throw error;
    });
    const records: { record: SandboxRecord; createdAt: Date }[] = [];
    for (const name of names.filter((entry) => !entry.includes('.'))) {
      const record = await this.find(name);
      if (record === undefined) continue;
      // Skips the sandbox if it was removed after it was listed.
      const status = await lstat(join(this.#folder, name, 'sandbox.json')).catch(() => undefined);
      if (status !== undefined) records.push({ record, createdAt: status.mtime });
    }
    return records;
  }

  async remove(id: string): Promise<void> {
    checkSandboxId(id);
    const aside = join(this.#folder, `removed.${randomUUID()}`);
    try {
      await rename(join(this.#folder, id), aside);
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return;
      throw error;
    }
    await this.#delete(aside);
  }

  /** Deletes folders that `remove` could not delete or that a crash left, and folders of sandboxes whose record was never written. */
  async sweep(): Promise<void> {
    const names = await readdir(this.#folder).catch(() => []);
    for (const name of names) {
      if (name.startsWith('removed.')) await this.#delete(join(this.#folder, name));
      else if (await this.#isUnfinished(name)) await this.remove(name);
    }
  }

  async #isUnfinished(id: string): Promise<boolean> {
    const folder = join(this.#folder, id);
    if (existsSync(join(folder, 'sandbox.json'))) return false;
    // Another process may have removed the folder since it was listed.
    const status = await lstat(folder).catch(() => undefined);
    return status !== undefined && Date.now() - status.mtimeMs > creationMsMax;
  }

  /**
   * Deletes the renamed folder of a removed sandbox. Errors are only reported, since the sandbox is already removed.
   */
  async #delete(aside: string): Promise<void> {
    try {
      await removeTree(aside);
    } catch (error) {
      this.#onTrouble(error, `${aside} can't be deleted`);
    }
  }
}

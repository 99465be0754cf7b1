/**
 * Records of running commands in files, for engines without a daemon. With these records, a process can count and end commands that another
 * process of the same host started. A process is identified by its id and start time, since ids are reused.
 */
import { randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createLogger } from '@coppice/telemetry';

const log = createLogger('container-service');

export interface RunningEntry {
  sandboxId: string;
  execId: string;
  /** Id of the process whose end also ends the command. */
  pid: number;
  /** Start time from /proc; null on systems without /proc (macOS), where the pid alone identifies the process. */
  startTime: string | null;
}

export class RunningCommands {
  readonly #folder: string;
  readonly #onLost: (entry: RunningEntry) => Promise<void>;

  /** @param onLost ends the remaining processes of a command whose process has ended without removing its record */
  constructor(stateFolder: string, onLost: (entry: RunningEntry) => Promise<void> = async () => {}) {
    this.#folder = join(stateFolder, 'running');
    this.#onLost = onLost;
  }

  /**
   * Records a command that starts. If the record can't be written, as on a full disk, the command is missing from `list`, but it can still
   * be found by its mark and ended.
   * @returns a function that removes the record
   */
  async add(sandboxId: string, execId: string, pid: number): Promise<() => Promise<void>> {
    const path = join(this.#folder, randomUUID());
    const remove = (): Promise<void> => rm(path, { force: true });
    try {
      await mkdir(this.#folder, { recursive: true, mode: 0o755 });
      const entry: RunningEntry = { sandboxId, execId, pid, startTime: await startTimeOf(pid) };
      await writeFile(path, JSON.stringify(entry), { mode: 0o600 });
    } catch {
      // `list` ignores an empty record, so it does no harm if the removal fails.
      await remove().catch(() => undefined);
    }
    return remove;
  }

  /** Returns the commands that still run. For commands that have ended, ends remaining processes and deletes the record. */
  async list(): Promise<RunningEntry[]> {
    const alive: RunningEntry[] = [];
    for (const name of await readdir(this.#folder).catch(() => [])) {
      const path = join(this.#folder, name);
      const text = await readFile(path, 'utf8').catch(() => '');
      // The file is empty while it is being written.
      if (text === '') continue;
      const entry = entryOf(text);
      if (entry === null) {
        log.warn({ path }, 'the record of a running command is damaged, and is deleted');
        await rm(path, { force: true });
        continue;
      }
      if (await runs(entry)) alive.push(entry);
      else {
        // If `onLost` fails, the next call of `list` calls it again.
        const isEnded = await this.#onLost(entry).then(
          () => true,
          () => false,
        );
        if (isEnded) await rm(path, { force: true });
      }
    }
    return alive;
  }
}

/** Parses a record. Returns null if the record is incomplete because the host lost power. In this case, the command has ended too. */
function entryOf(text: string): RunningEntry | null {
  try {
    return JSON.parse(text) as RunningEntry;
  } catch {
    return null;
  }
}

async function runs(entry: RunningEntry): Promise<boolean> {
  if (entry.startTime !== null) return (await startTimeOf(entry.pid)) === entry.startTime;
  try {
    process.kill(entry.pid, 0);
    return true;
  } catch {
    return false;
  }
}

/**
 * Returns field 22 of /proc/<pid>/stat, with care for field 2, the name, which may contain spaces and parentheses. Null if the process has
 * ended or is a zombie.
 */
export async function startTimeOf(pid: number): Promise<string | null> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return fields[0] === 'Z' ? null : (fields[19] ?? null);
}

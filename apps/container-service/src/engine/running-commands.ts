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
  /** Pid of a process. When this process ends, the command ends too. */
  pid: number;
  /** Start time from /proc. Null on systems without /proc, such as macOS. */
  startTime: string | null;
}

export class RunningCommands {
  readonly #folder: string;
  readonly #onLost: (entry: RunningEntry) => Promise<void>;

  /**
   * @param onLost called if a command's process ended without removing the record. Ends the command's remaining
   * processes.
   */
  constructor(stateFolder: string, onLost: (entry: RunningEntry) => Promise<void> = async () => {}) {
    this.#folder = join(stateFolder, 'running');
    this.#onLost = onLost;
  }

  /**
   * Records a command that starts. If the record can't be written, for example on a full disk, the command is missing
   * from `list`. It can still be found by its mark.
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
      // A failed removal is harmless, since `list` skips empty records.
      await remove().catch(() => undefined);
    }
    return remove;
  }

  /** Returns the commands that still run. For commands that have ended, calls `onLost` and deletes the record. */
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
 * Returns the start time of a process, field 22 of /proc/<pid>/stat. Returns null if the process has ended or is a
 * zombie. Field 2 is the program's name, which may contain spaces and parentheses.
 */
export async function startTimeOf(pid: number): Promise<string | null> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return fields[0] === 'Z' ? null : (fields[19] ?? null);
}

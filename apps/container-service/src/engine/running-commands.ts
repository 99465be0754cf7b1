/**
 * Commands that run, in files, for engines that have no daemon to ask. So another process of the same host can count and end commands that aren't its
 * own. A process is known by its id and start time: ids are reused.
 */
import { randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createLogger } from '@coppice/telemetry';

const log = createLogger('container-service');

export interface RunningEntry {
  sandboxId: string;
  execId: string;
  /** The process whose end ends the command, or should. */
  pid: number;
  /** From /proc; null where there is none (macOS), where a process id is trusted as it is. */
  startTime: string | null;
}

export class RunningCommands {
  readonly #folder: string;
  readonly #onLost: (entry: RunningEntry) => Promise<void>;

  /** @param onLost ends what is left of a command whose process has ended without removing its record */
  constructor(stateFolder: string, onLost: (entry: RunningEntry) => Promise<void> = async () => {}) {
    this.#folder = join(stateFolder, 'running');
    this.#onLost = onLost;
  }

  /**
   * Records a command that begins. Without a record, as on a full disk, the command is still ended by its mark; it is only missing from `list`.
   * @returns removes the record
   */
  async add(sandboxId: string, execId: string, pid: number): Promise<() => Promise<void>> {
    const path = join(this.#folder, randomUUID());
    const remove = (): Promise<void> => rm(path, { force: true });
    try {
      await mkdir(this.#folder, { recursive: true, mode: 0o755 });
      const entry: RunningEntry = { sandboxId, execId, pid, startTime: await startTimeOf(pid) };
      await writeFile(path, JSON.stringify(entry), { mode: 0o600 });
    } catch {
      // An empty record is ignored by `list`, so a failure to remove it costs nothing.
      await remove().catch(() => undefined);
    }
    return remove;
  }

  /** Those that still run. What is left of others is ended, and their files are deleted. */
  async list(): Promise<RunningEntry[]> {
    const alive: RunningEntry[] = [];
    for (const name of await readdir(this.#folder).catch(() => [])) {
      const path = join(this.#folder, name);
      const text = await readFile(path, 'utf8').catch(() => '');
      // Empty while it is being written.
      if (text === '') continue;
      const entry = entryOf(text);
      if (entry === null) {
        log.warn({ path }, 'the record of a running command is damaged, and is deleted');
        await rm(path, { force: true });
        continue;
      }
      if (await runs(entry)) alive.push(entry);
      else {
        // One that resists is looked for again the next time.
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

/** Null where the host lost power before all of it was written: then the command has ended, too. */
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

/** Field 22 of /proc/<pid>/stat; the name in field 2 may hold spaces and parentheses. Null for a zombie, too. */
export async function startTimeOf(pid: number): Promise<string | null> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return fields[0] === 'Z' ? null : (fields[19] ?? null);
}

/**
 * Deleted files that processes of a sandbox still have open. They take space until they are closed, and no walk of folders finds them.
 *
 * 1. A command's processes are found in the /proc of its own PID namespace, so other processes of the host cost nothing.
 * 2. Each thread is read: one may have descriptors of its own, and the first may have ended.
 * 3. A file that is only mapped into memory, or only on its way through a socket, is not found.
 */
import { opendirSync, readlinkSync, statfsSync, statSync, type BigIntStats, type Dir } from 'node:fs';
import { Turns } from '@coppice/service';
import { heldDescriptorsMax } from './limits.ts';

/** Steps of a turn that one descriptor costs. */
const stepsPerDescriptor = 200;
/** Types of file systems in memory, which has a limit of its own: tmpfs, ramfs, hugetlbfs. */
const inMemory: ReadonlySet<number> = new Set([0x01021994, 0x858458f6, 0x958458f6]);

/**
 * Counts allocated blocks, of each file once. Infinite for more descriptors than can be read: they would be a way to hide.
 *
 * @param firstProcesses first processes of PID namespaces, as this process sees them
 * @param folders what the sandbox may write: files there count even if their file system is in memory
 */
export async function heldBytes(firstProcesses: readonly number[], folders: readonly string[]): Promise<number> {
  const devices = new Set(folders.map((folder) => statOf(folder)?.dev));
  const counted = new Set<string>();
  const turns = new Turns();
  let bytes = 0;
  let descriptors = 0;
  for (const tables of firstProcesses.flatMap(processesIn)) {
    let known: Table | undefined;
    for (const threadId of namesIn(tables)) {
      const table: Table = { folder: `${tables}/${threadId}/fd`, names: [] };
      for (const name of namesIn(table.folder)) {
        table.names.push(name);
        if (++descriptors > heldDescriptorsMax) return Number.POSITIVE_INFINITY;
        turns.spend(stepsPerDescriptor);
        if (turns.due) await turns.give();
      }
      if (known !== undefined && areSame(known, table)) continue;
      known = table;
      for (const name of table.names) {
        const path = `${table.folder}/${name}`;
        const file = statOf(path);
        turns.spend(stepsPerDescriptor);
        if (turns.due) await turns.give();
        if (file === undefined || file.nlink > 0n || file.blocks === 0n) continue;
        const id = `${file.dev} ${file.ino}`;
        if (counted.has(id) || !(devices.has(file.dev) || isOnDisk(path))) continue;
        counted.add(id);
        bytes += Number(file.blocks) * 512;
      }
    }
  }
  return bytes;
}

/** The descriptors of one thread. */
interface Table {
  folder: string;
  names: string[];
}

/** Threads mostly share their descriptors. That is tried on a random one, since a command chooses their numbers. */
function areSame(one: Table, other: Table): boolean {
  if (one.names.length !== other.names.length || one.names.some((name, index) => name !== other.names[index]))
    return false;
  const name = one.names[Math.floor(Math.random() * one.names.length)];
  if (name === undefined) return true;
  const [first, second] = [statOf(`${one.folder}/${name}`), statOf(`${other.folder}/${name}`)];
  return first !== undefined && first.dev === second?.dev && first.ino === second.ino;
}

/** Folders of the threads of each process of the namespace; none where they can't be read, or the namespace is still being made. */
function processesIn(firstProcess: number): string[] {
  const proc = `/proc/${firstProcess}/root/proc`;
  const namespace = linkOf(`/proc/${firstProcess}/ns/pid`);
  // The namespace of this process is the host's, or shows that the id is another process's by now.
  const isItsOwn = namespace !== undefined && namespace !== linkOf('/proc/self/ns/pid');
  if (!isItsOwn || linkOf(`${proc}/1/ns/pid`) !== namespace) return [];
  return [...namesIn(proc)].filter((name) => /^\d+$/.test(name)).map((name) => `${proc}/${name}/task`);
}

/** Those read until the folder has gone. */
function* namesIn(folder: string): Generator<string> {
  let directory: Dir | undefined;
  try {
    directory = opendirSync(folder);
    for (let entry = directory.readSync(); entry !== null; entry = directory.readSync()) yield entry.name;
  } catch {
    // Its process has ended, or may not be read.
  } finally {
    directory?.closeSync();
  }
}

function statOf(path: string): BigIntStats | undefined {
  try {
    return statSync(path, { bigint: true });
  } catch {
    return undefined;
  }
}

function linkOf(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}

function isOnDisk(path: string): boolean {
  try {
    return !inMemory.has(statfsSync(path).type);
  } catch {
    return false;
  }
}

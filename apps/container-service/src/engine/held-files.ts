/**
 * Deleted files that processes of a sandbox still have open. Such files use space until they are closed, and a walk of
 * the folders does not find them.
 *
 * 1. A command's processes are found in the /proc of the command's PID namespace, so other processes of the host aren't
 *    read.
 * 2. The descriptors of every thread are read, since a thread may have a descriptor table of its own, and the first
 *    thread may have ended.
 * 3. A file is not found if it is only mapped into memory or in transit through a socket.
 */
import { opendirSync, readlinkSync, statfsSync, statSync, type BigIntStats, type Dir } from 'node:fs';
import { StepBudget } from '@coppice/service';
import { heldDescriptorsMax } from './limits.ts';

/** Cost of one descriptor, in steps of `StepBudget`. */
const stepsPerDescriptor = 200;
/** Types of in-memory file systems, which have their own limit: tmpfs, ramfs, hugetlbfs. */
const inMemory: ReadonlySet<number> = new Set([0x01021994, 0x858458f6, 0x958458f6]);

/**
 * Returns the allocated bytes of deleted open files. Each file counts once. The result is infinite for more than
 * `heldDescriptorsMax` descriptors, since the remaining descriptors could otherwise hide files.
 *
 * @param firstProcesses pids of the first processes of PID namespaces, in this process's /proc
 * @param folders writable folders of the sandbox. Files there count even if their file system is in memory.
 */
export async function heldBytes(firstProcesses: readonly number[], folders: readonly string[]): Promise<number> {
  const devices = new Set(folders.map((folder) => statOf(folder)?.dev));
  const counted = new Set<string>();
  const budget = new StepBudget();
  let bytes = 0;
  let descriptors = 0;
  for (const tables of firstProcesses.flatMap(processesIn)) {
    let known: Table | undefined;
    for (const threadId of namesIn(tables)) {
      const table: Table = { folder: `${tables}/${threadId}/fd`, names: [] };
      for (const name of namesIn(table.folder)) {
        table.names.push(name);
        if (++descriptors > heldDescriptorsMax) return Number.POSITIVE_INFINITY;
        budget.spend(stepsPerDescriptor);
        if (budget.due) await budget.yield();
      }
      if (known !== undefined && areSame(known, table)) continue;
      known = table;
      for (const name of table.names) {
        const path = `${table.folder}/${name}`;
        const file = statOf(path);
        budget.spend(stepsPerDescriptor);
        if (budget.due) await budget.yield();
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

/**
 * Guesses whether two threads share a descriptor table, as most threads do. Compares all descriptor numbers, and the
 * file of one descriptor. This descriptor is chosen at random, since a command could predict a fixed choice.
 */
function areSame(one: Table, other: Table): boolean {
  if (one.names.length !== other.names.length || one.names.some((name, index) => name !== other.names[index]))
    return false;
  const name = one.names[Math.floor(Math.random() * one.names.length)];
  if (name === undefined) return true;
  const [first, second] = [statOf(`${one.folder}/${name}`), statOf(`${other.folder}/${name}`)];
  return first !== undefined && first.dev === second?.dev && first.ino === second.ino;
}

/**
 * Returns the `task` folder of each process in the namespace. Returns nothing if the processes can't be read or the
 * namespace is still being created.
 */
function processesIn(firstProcess: number): string[] {
  const proc = `/proc/${firstProcess}/root/proc`;
  const namespace = linkOf(`/proc/${firstProcess}/ns/pid`);
  // Skips a first process in this process's own namespace. Its command has no namespace, or the pid was reused.
  const isItsOwn = namespace !== undefined && namespace !== linkOf('/proc/self/ns/pid');
  if (!isItsOwn || linkOf(`${proc}/1/ns/pid`) !== namespace) return [];
  return [...namesIn(proc)].filter((name) => /^\d+$/.test(name)).map((name) => `${proc}/${name}/task`);
}

/** Yields the names in a folder. Ends without an error if the folder disappears. */
function* namesIn(folder: string): Generator<string> {
  let directory: Dir | undefined;
  try {
    directory = opendirSync(folder);
    for (let entry = directory.readSync(); entry !== null; entry = directory.readSync()) yield entry.name;
  } catch {
    // The process has ended or may not be read.
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

/**
 * Marks of processes. An engine without a daemon puts a mark into the environment of every process that it starts. A
 * search finds the process by its mark, even after its parent has ended. A command can clear the environment of its
 * children, but not of its namespace's first process, which the engine starts. Engine none creates no namespace, so its
 * search doesn't find a child without a mark.
 *
 * A search reads every process of the host. It reads only the part of an environment that can contain the mark, since a
 * command could slow it down with environments of megabytes.
 */
import { closeSync, existsSync, openSync, readdirSync, readSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { CoppiceError, shortHash } from '@coppice/contracts';
import { StepBudget } from '@coppice/service';
import { killWaitMsMax } from './limits.ts';

const markName = 'COPPICE_COMMAND';
/**
 * Number of bytes to read from an environment whose first variable is the mark. A namespace's first process and the
 * processes that start it have such an environment.
 */
export const markStandsFirst = 64 * 1024;
/**
 * Number of bytes to read if the mark may be anywhere in the environment, since shells reorder variables. Linux allows
 * no more bytes for arguments and environment together.
 */
export const markStandsAnywhere = 6 * 1024 * 1024;
const pollMs = 5;
/** Cost of one process, in steps of `StepBudget`, in addition to one step for each byte read. */
const stepsPerProcess = 1_000;

/**
 * Returns the mark of a command. Without `execId`, returns the common prefix of the marks of all commands of a sandbox.
 * The hash includes the state folder, since another stack on this host may have a sandbox with the same id.
 */
export function markOf(stateFolder: string, sandboxId: string, execId?: string): string {
  return `${shortHash(stateFolder, sandboxId)}.${execId === undefined ? '' : shortHash(execId)}`;
}

/** Returns `env` with the mark as its first variable. */
export function marked(mark: string, env: Readonly<Record<string, string>>): Record<string, string> {
  return Object.assign({ [markName]: mark }, env, { [markName]: mark });
}

/**
 * Kills every process that has a mark with this prefix in the first `bytes` of its environment. Repeats this until a search finds no such
 * process, since a process may fork during a search. Does nothing on systems other than Linux. Throws `sandbox-failed` if the processes
 * don't end.
 */
export async function endMarked(mark: string, bytes: number): Promise<void> {
  if (!existsSync('/proc/self/environ')) return;
  const deadline = performance.now() + killWaitMsMax;
  while (performance.now() < deadline) {
    const found = await markedProcesses(mark, bytes);
    if (found.length === 0) return;
    for (const pid of found) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // The process has already ended.
      }
    }
    await sleep(pollMs);
  }
  throw new CoppiceError('sandbox-failed', `processes of a command don't end within ${killWaitMsMax / 1000} s`);
}

/**
 * Returns the pids of marked processes. Uses synchronous calls, which are several times faster. Speed matters, since
 * every command starts and ends with a search.
 */
async function markedProcesses(mark: string, bytes: number): Promise<number[]> {
  const found: number[] = [];
  const budget = new StepBudget();
  // Each variable ends with a NUL. The buffer begins with a NUL, so that `wanted` also matches the first variable.
  const environment = Buffer.allocUnsafe(1 + bytes).fill(0, 0, 1);
  const wanted = Buffer.from(`\0${markName}=${mark}`);
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const length = readEnvironment(name, environment.subarray(1));
    if (environment.subarray(0, 1 + length).includes(wanted)) found.push(Number(name));
    budget.spend(stepsPerProcess + length);
    if (budget.due) await budget.yield();
  }
  return found;
}

/** Reads the start of a process's environment into `into`. Returns the number of bytes read. */
function readEnvironment(pid: string, into: Buffer): number {
  let file: number | undefined;
  try {
    file = openSync(`/proc/${pid}/environ`, 'r');
    return readSync(file, into);
  } catch {
    // The process belongs to another user or has ended. The environment of a zombie is empty.
    return 0;
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

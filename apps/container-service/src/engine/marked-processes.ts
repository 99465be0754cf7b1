/**
 * Every process that an engine without a daemon starts carries a mark in its environment, so that it is found whoever
 * started it, also when that one is gone. A command can wash its own children's environment; what it can't wash is the
 * first process of its namespace, which is ours. (Engine none has no namespace: there a washed process may get away.)
 *
 * Every process of the host is looked at, so a command's own must not make the look long: of an environment that a
 * command may have made megabytes of, only as much is read as the mark can be in.
 */
import { closeSync, existsSync, openSync, readdirSync, readSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { CoppiceError, shortHash } from '@coppice/contracts';
import { Turns } from '@coppice/service';
import { killWaitMsMax } from './limits.ts';

const markName = 'COPPICE_COMMAND';
/** Bytes to read of each environment where the processes to be found have it from `marked`: a namespace's first, and those that start it. */
export const markStandsFirst = 64 * 1024;
/** Where they may have put it anywhere, as shells do: Linux gives arguments and environment together no more. */
export const markStandsAnywhere = 6 * 1024 * 1024;
const pollMs = 5;
/** What one process costs beside what is read of it, in steps of a turn. */
const stepsPerProcess = 1_000;

/**
 * Of one command; without its id, the beginning of the marks of all commands of the sandbox. Another stack of this host
 * has another state folder, and may have a sandbox of the same id.
 */
export function markOf(stateFolder: string, sandboxId: string, execId?: string): string {
  return `${shortHash(stateFolder, sandboxId)}.${execId === undefined ? '' : shortHash(execId)}`;
}

/** The environment with the mark as its first variable, and the only one of its name, whatever `env` holds. */
export function marked(mark: string, env: Readonly<Record<string, string>>): Record<string, string> {
  return Object.assign({ [markName]: mark }, env, { [markName]: mark });
}

/**
 * Ends every process whose mark begins so within the first `bytes` of its environment, until a look finds none: one may
 * fork while we look. Linux only, else does nothing. Throws `sandbox-failed` when they don't end.
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
        // It has ended.
      }
    }
    await sleep(pollMs);
  }
  throw new CoppiceError('sandbox-failed', `processes of a command don't end within ${killWaitMsMax / 1000} s`);
}

/** Synchronous calls: several times cheaper than asynchronous ones here, and every command begins and ends with such a look. */
async function markedProcesses(mark: string, bytes: number): Promise<number[]> {
  const found: number[] = [];
  const turns = new Turns();
  // The NUL that ends each variable is in front of the first one, too.
  const environment = Buffer.allocUnsafe(1 + bytes).fill(0, 0, 1);
  const wanted = Buffer.from(`\0${markName}=${mark}`);
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const length = readEnvironment(name, environment.subarray(1));
    if (environment.subarray(0, 1 + length).includes(wanted)) found.push(Number(name));
    turns.spend(stepsPerProcess + length);
    if (turns.due) await turns.give();
  }
  return found;
}

/** How many bytes there were of it, at most as many as fit. */
function readEnvironment(pid: string, into: Buffer): number {
  let file: number | undefined;
  try {
    file = openSync(`/proc/${pid}/environ`, 'r');
    return readSync(file, into);
  } catch {
    // Another user's, or gone. A zombie's is empty.
    return 0;
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

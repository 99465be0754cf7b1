/**
 * Every process that an engine without a daemon starts carries a mark in its environment, so that it is found whoever
 * started it, also when that one is gone. A command can wash its own children's environment; what it can't wash is the
 * first process of its namespace, which is ours. (Engine none has no namespace: there a washed process may get away.)
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { CoppiceError, shortHash } from '@coppice/contracts';
import { Turns } from '@coppice/service';
import { killWaitMsMax } from './limits.ts';

export const markName = 'COPPICE_COMMAND';
const pollMs = 5;
/** What one process costs, in steps of a turn. */
const stepsPerProcess = 1_000;

/**
 * Of one command; without its id, the beginning of the marks of all commands of the sandbox. Another stack of this host
 * has another state folder, and may have a sandbox of the same id.
 */
export function markOf(stateFolder: string, sandboxId: string, execId?: string): string {
  return `${shortHash(stateFolder, sandboxId)}.${execId === undefined ? '' : shortHash(execId)}`;
}

/** Ends every process whose mark begins so, until a look finds none: one may fork while we look. Linux only, else does nothing. */
export async function endMarked(mark: string): Promise<void> {
  if (!existsSync('/proc/self/environ')) return;
  const deadline = performance.now() + killWaitMsMax;
  while (performance.now() < deadline) {
    const marked = await markedProcesses(mark);
    if (marked.length === 0) return;
    for (const pid of marked) {
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
async function markedProcesses(mark: string): Promise<number[]> {
  const found: number[] = [];
  const turns = new Turns();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const isMarked = environmentOf(name)
      .split('\0')
      .some((variable) => variable.startsWith(`${markName}=${mark}`));
    if (isMarked) found.push(Number(name));
    turns.spend(stepsPerProcess);
    if (turns.due) await turns.give();
  }
  return found;
}

function environmentOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'latin1');
  } catch {
    // Another user's, or gone. A zombie's is empty.
    return '';
  }
}

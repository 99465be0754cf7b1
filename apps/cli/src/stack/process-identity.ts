/** Processes that an earlier one started, named so that a reused process id is never mistaken for one of them. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** A process id with the time at which that process started, as text that is only compared. */
export type ProcessIdentity = { pid: number; started: string };

const pollMs = 25;
const killWaitMsMax = 5_000;

/** Null when there is no such process. */
export function identityOf(pid: number): ProcessIdentity | null {
  const started = process.platform === 'linux' ? startOnLinux(pid) : startElsewhere(pid);
  return started === null ? null : { pid, started };
}

export const ownIdentity = (): ProcessIdentity => identityOf(process.pid) ?? { pid: process.pid, started: 'unknown' };

export const isRunning = (identity: ProcessIdentity): boolean => identityOf(identity.pid)?.started === identity.started;

/** Clock ticks since the boot; with the boot's own id, since after a reboot the same numbers come again. */
function startOnLinux(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The second field is the program's name in parentheses, in which anything may stand.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const [state, startTicks] = [fields[0], fields[19]];
    if (state === 'Z' || state === 'X') return null;
    return `${readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()}:${startTicks}`;
  } catch {
    return null;
  }
}

function startElsewhere(pid: number): string | null {
  return ask('ps', ['-o', 'lstart=', '-p', String(pid)]);
}

/** Program and arguments, separated by spaces; null when there is no such process. */
export function commandLineOf(pid: number): string | null {
  if (process.platform !== 'linux') return ask('ps', ['-o', 'command=', '-p', String(pid)]);
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
  } catch {
    return null;
  }
}

function ask(program: string, programArguments: string[]): string | null {
  try {
    const text = execFileSync(program, programArguments, {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
    return text === '' ? null : text;
  } catch {
    return null;
  }
}

/** Sends SIGTERM, and SIGKILL to what hasn't ended after `graceMs`. Resolves when it has ended; false when it was gone before. */
export async function endProcess(identity: ProcessIdentity, graceMs: number): Promise<boolean> {
  if (!signal(identity, 'SIGTERM')) return false;
  if (await hasEnded(identity, graceMs)) return true;
  signal(identity, 'SIGKILL');
  if (await hasEnded(identity, killWaitMsMax)) return true;
  throw new Error(`process ${identity.pid} does not end`);
}

/** Sends the signal to that very process. False when it isn't there any more. */
function signal(identity: ProcessIdentity, name: NodeJS.Signals): boolean {
  if (identity.pid <= 1 || !isRunning(identity)) return false;
  try {
    process.kill(identity.pid, name);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
    throw error;
  }
}

async function hasEnded(identity: ProcessIdentity, waitMs: number): Promise<boolean> {
  const end = performance.now() + waitMs;
  for (;;) {
    if (!isRunning(identity)) return true;
    if (performance.now() >= end) return false;
    await sleep(pollMs);
  }
}

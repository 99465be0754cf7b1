/** Identities of processes. A process id alone can be reused by another process. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** A process id, and the start time of the process as opaque text. */
export type ProcessIdentity = { pid: number; started: string };

const pollMs = 25;
const killWaitMsMax = 5_000;

/** Returns null if no process with this id runs. */
export function identityOf(pid: number): ProcessIdentity | null {
  const started = process.platform === 'linux' ? startOnLinux(pid) : startElsewhere(pid);
  return started === null ? null : { pid, started };
}

export const ownIdentity = (): ProcessIdentity => identityOf(process.pid) ?? { pid: process.pid, started: 'unknown' };

export const isRunning = (identity: ProcessIdentity): boolean => identityOf(identity.pid)?.started === identity.started;

/**
 * Returns the start time in clock ticks since boot. The boot id is added, since the same number can occur again after a
 * reboot.
 */
function startOnLinux(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The second field is the program's name in parentheses. The name can contain any character, even spaces.
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

/** Returns program and arguments, separated by spaces. Returns null if no process has this id. */
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

/**
 * Sends SIGTERM, and SIGKILL if the process still runs after `graceMs`. Resolves with true when the process has ended,
 * or with false if it had ended before.
 * @throws Error if the process doesn't end
 */
export async function endProcess(identity: ProcessIdentity, graceMs: number): Promise<boolean> {
  if (!signal(identity, 'SIGTERM')) return false;
  if (await hasEnded(identity, graceMs)) return true;
  signal(identity, 'SIGKILL');
  if (await hasEnded(identity, killWaitMsMax)) return true;
  throw new Error(`process ${identity.pid} does not end`);
}

/** Returns false if the process no longer exists. */
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

/**
 * Makes sure that a stack runs in the background.
 *
 * Invariants:
 * 1. Any number of these at once yield one stack: each starts a process, of which one gets the lock; the others end with
 *    `stackRunsExitCode`, and all wait for the one.
 * 2. Waiting is bounded by `readyMsMax`, and ends at once when the process that was started fails. While nothing new is reported, a line says every
 *    `stillMs` that the start goes on.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { closeSync, openSync, readFileSync, renameSync, statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { CliError } from '../errors.ts';
import { exitCodes } from '../exit-codes.ts';
import { plainText } from '../output/text.ts';
import { makeHome } from './home.ts';
import type { Home } from './home.ts';
import { readStatus, runningStack } from './status.ts';
import type { StackStatus } from './status.ts';

/** A process that found another stack running. Not one of the command's codes: only `ensureStack` sees it. */
export const stackRunsExitCode = 75;

/** At a first start the image for sandboxes may have to be made or pulled, and the machine may be busy. Each phase has a limit of its own below this. */
const readyMsMax = 20 * 60_000;
const stillMs = 15_000;
const pollMs = 40;
const logBytesMax = 5 * 1024 * 1024;
const logTailLines = 15;
/** Between the end of a stack that stops and the start of a new one. */
const startsMax = 3;

export type EnsureOptions = {
  home: Home;
  /** Runs the stack in the foreground: program and arguments. */
  command: readonly [string, ...string[]];
  environment: NodeJS.ProcessEnv;
  onLine: (line: string) => void;
};

/** @throws CliError (stack unavailable) with what the stack said of its failure, else the end of its log. */
export async function ensureStack(options: EnsureOptions): Promise<{ status: StackStatus; started: boolean }> {
  const { home } = options;
  makeHome(home);
  const end = performance.now() + readyMsMax;
  const teller = new LineTeller(options.onLine);
  let child: ChildProcess | null = null;
  for (let starts = 0; performance.now() < end; await sleep(pollMs)) {
    const status = runningStack(home);
    if (status?.phase !== 'ready') teller.still(status);
    if (status === null) {
      if (child !== null && !hasEnded(child)) continue;
      if (child !== null && child.exitCode !== stackRunsExitCode) throw failureOf(home, child);
      if (++starts > startsMax) break;
      child = launch(options);
      continue;
    }
    const ours = child !== null && child.pid === status.process.pid;
    if (starts > 0 || status.phase !== 'ready') teller.tell(status);
    if (status.phase === 'ready') {
      child?.unref();
      return { status, started: ours };
    }
  }
  throw new CliError(exitCodes.stackUnavailable, `the stack did not get ready in time\n${logTail(home)}`);
}

/** A process that could not be started has no id. */
const hasEnded = (child: ChildProcess) =>
  child.pid === undefined || child.exitCode !== null || child.signalCode !== null;

/** Tells each line of a stack's status once, also when another stack takes over. */
class LineTeller {
  readonly #onLine: (line: string) => void;
  readonly #startedAt = performance.now();
  #pid = 0;
  #count = 0;
  #toldAt = performance.now();

  constructor(onLine: (line: string) => void) {
    this.#onLine = onLine;
  }

  tell(status: StackStatus): void {
    if (status.process.pid !== this.#pid) [this.#pid, this.#count] = [status.process.pid, 0];
    for (const line of status.lines.slice(this.#count)) this.#tell(line);
    this.#count = status.lines.length;
  }

  /** Says that the start goes on, where nothing else has been said for a while. */
  still(status: StackStatus | null): void {
    const now = performance.now();
    if (now - this.#toldAt < stillMs) return;
    const what = status === null ? "waiting for the stack's process" : `the stack is still ${status.phase}`;
    this.#tell(`${what} (${Math.round((now - this.#startedAt) / 1_000)} s)…`);
  }

  #tell(line: string): void {
    this.#toldAt = performance.now();
    this.#onLine(line);
  }
}

function launch({ home, command, environment }: EnsureOptions): ChildProcess {
  rotate(home.logFile);
  const log = openSync(home.logFile, 'a', 0o600);
  const [program, ...programArguments] = command;
  // In a session of its own, so that neither Ctrl-C nor the end of the terminal reaches it; and not in the user's folder, which could then not be unmounted.
  const child = spawn(program, programArguments, {
    cwd: home.root,
    detached: true,
    env: environment,
    stdio: ['ignore', log, log],
  });
  closeSync(log);
  child.on('error', () => {
    // It has no process id then, which `hasEnded` sees.
  });
  return child;
}

function rotate(file: string): void {
  if ((statSync(file, { throwIfNoEntry: false })?.size ?? 0) > logBytesMax) renameSync(file, `${file}.old`);
}

function failureOf(home: Home, child: ChildProcess): CliError {
  const status = readStatus(home);
  const own = status !== null && status.process.pid === child.pid ? status.failure : null;
  const how = child.signalCode ?? `exit code ${child.exitCode}`;
  // What it said itself is also the end of its log.
  const reason = own === null ? `its process ended with ${how}\n${logTail(home)}` : `${own}\nIts log: ${home.logFile}`;
  const text = `the stack could not be started: ${plainText(reason)}`;
  return new CliError(exitCodes.stackUnavailable, text);
}

function logTail(home: Home): string {
  try {
    const lines = readFileSync(home.logFile, 'utf8').trimEnd().split('\n').slice(-logTailLines);
    return [`The end of ${home.logFile}:`, ...lines.map((line) => `  ${plainText(line)}`)].join('\n');
  } catch {
    return `There is no log at ${home.logFile}.`;
  }
}

/**
 * Starts a stack in the background unless one runs.
 *
 * Invariants:
 * 1. Concurrent starts make one stack: each starts a process, and one of these gets the lock. The others end with `stackRunsExitCode`, and
 *    all callers wait for the one that runs.
 * 2. Waiting is bounded by `readyMsMax`, and ends at once when the started process fails. If nothing else was reported for `stillMs`, a
 *    line says that the stack is still starting.
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

/** Exit code of a process that found another stack running. Not an exit code of the command: only `ensureStack` sees it. */
export const stackRunsExitCode = 75;

/** A first start may have to make or pull the sandbox image, and the machine may be busy. Each phase has its own, shorter limit. */
const readyMsMax = 20 * 60_000;
const stillMs = 15_000;
const pollMs = 40;
const logBytesMax = 5 * 1024 * 1024;
const logTailLines = 15;
/** Several starts can be needed if another stack is just stopping. */
const startsMax = 3;

export type EnsureOptions = {
  home: Home;
  /** Program and arguments that run the stack in the foreground. */
  command: readonly [string, ...string[]];
  environment: NodeJS.ProcessEnv;
  onLine: (line: string) => void;
};

/** Starts a stack unless one runs. @throws CliError (stack unavailable) with the stack's own error, else the end of its log */
export async function ensureStack(options: EnsureOptions): Promise<{ status: StackStatus; started: boolean }> {
  const { home } = options;
  makeHome(home);
  const end = performance.now() + readyMsMax;
  const reporter = new LineReporter(options.onLine);
  let child: ChildProcess | null = null;
  for (let starts = 0; performance.now() < end; await sleep(pollMs)) {
    const status = runningStack(home);
    if (status?.phase !== 'ready') reporter.still(status);
    if (status === null) {
      if (child !== null && !hasEnded(child)) continue;
      if (child !== null && child.exitCode !== stackRunsExitCode) throw failureOf(home, child);
      if (++starts > startsMax) break;
      child = launch(options);
      continue;
    }
    const ours = child !== null && child.pid === status.process.pid;
    if (starts > 0 || status.phase !== 'ready') reporter.report(status);
    if (status.phase === 'ready') {
      child?.unref();
      return { status, started: ours };
    }
  }
  throw new CliError(exitCodes.stackUnavailable, `the stack did not get ready in time\n${logTail(home)}`);
}

/** True if the process has ended, or could not be started and so has no id. */
const hasEnded = (child: ChildProcess) =>
  child.pid === undefined || child.exitCode !== null || child.signalCode !== null;

/** Reports each line of a stack's status once, also when another stack takes over. */
class LineReporter {
  readonly #onLine: (line: string) => void;
  readonly #startedAt = performance.now();
  #pid = 0;
  #count = 0;
  #reportedAt = performance.now();

  constructor(onLine: (line: string) => void) {
    this.#onLine = onLine;
  }

  report(status: StackStatus): void {
    if (status.process.pid !== this.#pid) [this.#pid, this.#count] = [status.process.pid, 0];
    for (const line of status.lines.slice(this.#count)) this.#print(line);
    this.#count = status.lines.length;
  }

  /** Reports that the stack is still starting, if nothing else was reported for `stillMs`. */
  still(status: StackStatus | null): void {
    const now = performance.now();
    if (now - this.#reportedAt < stillMs) return;
    const what = status === null ? "waiting for the stack's process" : `the stack is still ${status.phase}`;
    this.#print(`${what} (${Math.round((now - this.#startedAt) / 1_000)} s)…`);
  }

  #print(line: string): void {
    this.#reportedAt = performance.now();
    this.#onLine(line);
  }
}

function launch({ home, command, environment }: EnsureOptions): ChildProcess {
  rotate(home.logFile);
  const log = openSync(home.logFile, 'a', 0o600);
  const [program, ...programArguments] = command;
  // The stack has its own session, so that neither Ctrl-C nor closing the terminal reaches it. It has another working directory, so that the user's can be unmounted.
  const child = spawn(program, programArguments, {
    cwd: home.root,
    detached: true,
    env: environment,
    stdio: ['ignore', log, log],
  });
  closeSync(log);
  child.on('error', () => {
    // The child then has no process id, which `hasEnded` checks.
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
  // The stack's own error is also at the end of its log.
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

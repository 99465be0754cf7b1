/**
 * Starts a stack in the background unless one runs.
 *
 * Invariants:
 * 1. Concurrent starts result in one stack. Each caller starts a process, but only one process gets the lock. The other
 *    processes end with `stackRunsExitCode`, and all callers wait for the running stack.
 * 2. A caller waits at most `readyMsMax`. The wait ends at once when the started process fails. If no line was printed
 *    for `stillMs`, a line says that the stack is still starting.
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

/**
 * Exit code of a stack's process if another stack runs in the same home. Users don't see it, since `ensureStack`
 * handles it.
 */
export const stackRunsExitCode = 75;

/** Longer than the limits of all phases of a start. A first start may have to make or pull the sandbox image. */
const readyMsMax = 20 * 60_000;
const stillMs = 15_000;
const pollMs = 40;
const logBytesMax = 5 * 1024 * 1024;
const logTailLines = 15;
/** More than one start is needed if another stack is just stopping. */
const startsMax = 3;

export type EnsureOptions = {
  home: Home;
  /** Program and arguments of the stack's process. */
  command: readonly [string, ...string[]];
  environment: NodeJS.ProcessEnv;
  onLine: (line: string) => void;
};

/**
 * Starts a stack unless one runs.
 * @throws CliError (stack unavailable) with the stack's own error or, if there is none, the end of its log
 */
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

/** A process that could not be started has no process id. */
const hasEnded = (child: ChildProcess) =>
  child.pid === undefined || child.exitCode !== null || child.signalCode !== null;

/** Prints each progress line of a stack's status once. */
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

  /** Prints that the stack is still starting, if no line was printed for `stillMs`. */
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
  // The process is detached, so that neither Ctrl-C nor the end of the terminal reaches it. The process has another
  // working directory, so that the user's directory can be unmounted.
  const child = spawn(program, programArguments, {
    cwd: home.root,
    detached: true,
    env: environment,
    stdio: ['ignore', log, log],
  });
  closeSync(log);
  child.on('error', () => {
    // Ignored, since the child then has no process id, which `hasEnded` checks.
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
  // The end of the log isn't needed if the stack has reported its own error.
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

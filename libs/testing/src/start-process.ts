import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { endWithThisProcess, exitOf } from './child-processes.ts';
import type { Exit } from './child-processes.ts';

export type OutputLine = { stream: 'stdout' | 'stderr'; text: string };

export type StartedProcess = AsyncDisposable & {
  pid: number;
  lines: readonly OutputLine[];
  /** Resolves even if the process failed. */
  exited: Promise<Exit>;
  /** Sends the signal, by default SIGKILL, and waits until the process has ended. */
  kill(signal?: NodeJS.Signals): Promise<Exit>;
  signal(signal: NodeJS.Signals): void;
  /**
   * Waits for a line that contains the text or matches the pattern, and returns the line. Earlier lines count too.
   * Rejects if the process ends, or after `timeoutMs` (default: 20,000).
   */
  waitForLine(pattern: string | RegExp, settings?: { timeoutMs?: number }): Promise<string>;
};

export type ProcessSettings = { cwd?: string; nodeArguments?: string[] };

const lineWaitMs = 20_000;

/**
 * Runs a TypeScript or JavaScript file in a separate Node process, which the test can kill. The process inherits all
 * environment variables except the test runner's. The variables in `environment` override inherited ones.
 */
export function startProcess(
  script: string,
  argumentsOfScript: string[] = [],
  environment: Record<string, string | undefined> = {},
  settings: ProcessSettings = {},
): StartedProcess {
  const child = spawn(process.execPath, [...(settings.nodeArguments ?? []), script, ...argumentsOfScript], {
    env: { ...inheritedEnvironment(), ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(settings.cwd === undefined ? {} : { cwd: settings.cwd }),
  });
  const { pid } = child;
  if (pid === undefined) throw new Error(`no process could be started for ${script}`);
  endWithThisProcess(child);

  const lines: OutputLine[] = [];
  const waiting = new Set<() => void>();
  const notify = () => {
    for (const look of waiting) look();
  };
  for (const stream of ['stdout', 'stderr'] as const) {
    createInterface({ input: child[stream] }).on('line', (text) => {
      lines.push({ stream, text });
      notify();
    });
  }
  const output: Output = { lines, waiting, ended: null };
  const exited = exitOf(child).then((exit) => {
    output.ended = exit;
    notify();
    return exit;
  });
  const kill = async (signal: NodeJS.Signals = 'SIGKILL') => {
    child.kill(signal);
    return exited;
  };
  return {
    pid,
    lines,
    exited,
    kill,
    signal: (signal) => void child.kill(signal),
    waitForLine: (pattern, { timeoutMs = lineWaitMs } = {}) => lineOf(output, pattern, timeoutMs),
    [Symbol.asyncDispose]: async () => void (await kill()),
  };
}

type Output = {
  lines: readonly OutputLine[];
  /** Functions that are called after each line, and when the process ends. */
  waiting: Set<() => void>;
  ended: Exit | null;
};

function lineOf(output: Output, pattern: string | RegExp, timeoutMs: number): Promise<string> {
  const { lines, waiting } = output;
  const printed = () => `it printed:\n${lines.map((line) => line.text).join('\n')}`;
  const matches = ({ text }: OutputLine) => (typeof pattern === 'string' ? text.includes(pattern) : pattern.test(text));
  return new Promise<string>((resolve, reject) => {
    const finish = (act: () => void) => {
      waiting.delete(look);
      clearTimeout(timer);
      act();
    };
    const fail = (reason: string) => finish(() => reject(new Error(`${reason}; ${printed()}`)));
    const look = () => {
      const found = lines.find(matches);
      if (found !== undefined) return finish(() => resolve(found.text));
      if (output.ended === null) return;
      const { code, signal } = output.ended;
      fail(`process ended (${signal ?? code}) without printing ${String(pattern)}`);
    };
    const timer = setTimeout(() => fail(`process did not print ${String(pattern)} within ${timeoutMs} ms`), timeoutMs);
    waiting.add(look);
    look();
  });
}

function inheritedEnvironment(): NodeJS.ProcessEnv {
  const ofTestRunner = /^(VITEST|NODE_OPTIONS$|NODE_V8_COVERAGE$|TEST$)/;
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !ofTestRunner.test(name)));
}

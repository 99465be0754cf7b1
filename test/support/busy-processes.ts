/** Processes that do nothing but take processor time, for tests of a busy machine. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';

/** They end by themselves after `secondsMax`, whatever becomes of the test. */
export function startBusyProcesses(count: number, secondsMax: number): AsyncDisposable {
  const words = [String(secondsMax), 'sh', '-c', 'while :; do :; done'];
  const children = Array.from({ length: count }, () => spawn('timeout', words, { stdio: 'ignore' }));
  return { [Symbol.asyncDispose]: async () => void (await Promise.all(children.map(end))) };
}

function end(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve();
    child.once('exit', () => resolve());
    // It passes the signal on to its shell.
    child.kill('SIGTERM');
  });
}

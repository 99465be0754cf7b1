import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';

/** The processes end after `secondsMax` even if the test crashes. */
export function startBusyProcesses(count: number, secondsMax: number): AsyncDisposable {
  const words = [String(secondsMax), 'sh', '-c', 'while :; do :; done'];
  const children = Array.from({ length: count }, () => spawn('timeout', words, { stdio: 'ignore' }));
  return { [Symbol.asyncDispose]: async () => void (await Promise.all(children.map(end))) };
}

function end(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve();
    child.once('exit', () => resolve());
    // `timeout` sends the signal to its shell too.
    child.kill('SIGTERM');
  });
}

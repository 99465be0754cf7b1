import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';

/** Shell script that waits for the end of its input, and then kills the process with the given id. The input is a pipe from this process, which the system closes however this process ends. */
const watchScript = 'cat >/dev/null; kill -KILL "$1" 2>/dev/null';

/** Makes sure that a child process is killed when this process ends. Otherwise the servers of a killed test runner would continue to run. */
export function endWithThisProcess(child: ChildProcess): void {
  const watcher = spawn('sh', ['-c', watchScript, 'sh', String(child.pid)], {
    stdio: ['pipe', 'ignore', 'ignore'],
    // The watcher is in a separate process group. Otherwise a Ctrl-C could end the watcher before the watcher has killed the child.
    detached: true,
  });
  watcher.unref();
  // The watcher is ended when the child ends. Otherwise it could later kill another process, to which the system has given the child's id.
  child.once('exit', () => watcher.kill('SIGKILL'));
}

export type Exit = { code: number | null; signal: NodeJS.Signals | null };

/** Resolves when the process has ended and all its output was read. */
export function exitOf(child: ChildProcess): Promise<Exit> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve({ code, signal }));
  });
}

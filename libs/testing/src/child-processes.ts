import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';

/**
 * Shell script that kills a process at the end of its input. The input is a pipe from this process. The system closes
 * the pipe when this process ends, even after SIGKILL.
 */
const watchScript = 'cat >/dev/null; kill -KILL "$1" 2>/dev/null';

/**
 * Kills a child process when this process ends. Otherwise the servers of a killed test runner would continue to run.
 */
export function endWithThisProcess(child: ChildProcess): void {
  const watcher = spawn('sh', ['-c', watchScript, 'sh', String(child.pid)], {
    stdio: ['pipe', 'ignore', 'ignore'],
    // The watcher has its own process group. Otherwise Ctrl-C could end it before it has killed the child.
    detached: true,
  });
  watcher.unref();
  // If the watcher outlived the child, it could later kill another process that has got the child's id.
  child.once('exit', () => watcher.kill('SIGKILL'));
}

export type Exit = { code: number | null; signal: NodeJS.Signals | null };

/** Resolves when the process has ended and all its output has been read. */
export function exitOf(child: ChildProcess): Promise<Exit> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve({ code, signal }));
  });
}

import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';

/** Shell script that waits for the end of its input, then kills the process with the given id. Its input is a pipe from this process, so it ends however this process ends. */
const watchScript = 'cat >/dev/null; kill -KILL "$1" 2>/dev/null';

/** Kills a child when this process ends. Otherwise a killed test runner would leave servers running. */
export function endWithThisProcess(child: ChildProcess): void {
  const watcher = spawn('sh', ['-c', watchScript, 'sh', String(child.pid)], {
    stdio: ['pipe', 'ignore', 'ignore'],
    // In a separate process group, so that a Ctrl-C doesn't end the watcher before it has killed the child.
    detached: true,
  });
  watcher.unref();
  // Ended with the child: the system may give the child's id to another process, which must not be killed.
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

import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';

/** Waits for the end of its input, which closes when this process ends in any way, and then kills the process with the given id. */
const watchScript = 'cat >/dev/null; kill -KILL "$1" 2>/dev/null';

/** Kills a child, by its id, when this process ends, so that a killed test runner leaves no server behind. */
export function endWithThisProcess(child: ChildProcess): void {
  const watcher = spawn('sh', ['-c', watchScript, 'sh', String(child.pid)], {
    stdio: ['pipe', 'ignore', 'ignore'],
    // In its own process group: a Ctrl-C that ends this process must not end the watcher first.
    detached: true,
  });
  watcher.unref();
  // The watcher ends with the child, since the child's id may be reused by another process.
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

import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';

/** Waits for the end of its input, which comes when this process ends, in whatever way, and then ends the process of the id given. */
const watchScript = 'cat >/dev/null; kill -KILL "$1" 2>/dev/null';

/** Ends a child, by its own id, when this process ends: a test runner that is ended by force leaves no server behind. */
export function endWithThisProcess(child: ChildProcess): void {
  const watcher = spawn('sh', ['-c', watchScript, 'sh', String(child.pid)], {
    stdio: ['pipe', 'ignore', 'ignore'],
    // In a group of its own: a Ctrl-C that ends this process must not end the watcher first.
    detached: true,
  });
  watcher.unref();
  // Watching nothing any more, it is ended, since the id may come to name another process.
  child.once('exit', () => watcher.kill('SIGKILL'));
}

export type Exit = { code: number | null; signal: NodeJS.Signals | null };

/** Resolves when the process has ended and its output is read to the end. */
export function exitOf(child: ChildProcess): Promise<Exit> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve({ code, signal }));
  });
}

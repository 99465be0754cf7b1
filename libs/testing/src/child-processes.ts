import type { ChildProcess } from 'node:child_process';

/** Children that are still running when this process exits are ended with it: by their own id, each. */
const running = new Set<ChildProcess>();
let watching = false;

export function endWithThisProcess(child: ChildProcess): void {
  running.add(child);
  child.once('exit', () => running.delete(child));
  if (watching) return;
  watching = true;
  process.once('exit', () => {
    for (const left of running) left.kill('SIGKILL');
  });
}

export type Exit = { code: number | null; signal: NodeJS.Signals | null };

/** Resolves when the process has ended and its output is read to the end. */
export function exitOf(child: ChildProcess): Promise<Exit> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve({ code, signal }));
  });
}

/**
 * Faults at the worst moment. A service in the middle of an operation leaves a trace, such as a new file. When the
 * trace appears, the service is killed.
 */
import { watch } from 'node:fs';
import path from 'node:path';
import type { ServiceName } from '@coppice/contracts';
import type { ChaosSystem } from './system.ts';

/** A change of a file that shows that an operation is in progress. */
export type Trace = {
  /** Returns the path to watch, with everything below it. */
  at(system: ChaosSystem): string;
  shows: RegExp;
};

const storesOf = ({ dataFolder }: ChaosSystem): string => path.join(dataFolder, 'worktree-service/repositories');

const worktreesOf = ({ dataFolder }: ChaosSystem): string => path.join(dataFolder, 'worktree-service/worktrees');

export const traces: readonly (Trace & { service: ServiceName })[] = [
  // container-service creates a draft or a final file in a worktree.
  {
    service: 'container-service',
    at: worktreesOf,
    shows: /\/tree\/(.*\/)?[^/]+$|coppice-/,
  },
  // A git command creates a lock file in a store.
  {
    service: 'worktree-service',
    at: storesOf,
    shows: /\.lock$/,
  },
  // The model has received a request or has answered, but the answer isn't stored yet.
  { service: 'llm-gateway', at: ({ countFile }) => countFile, shows: /./ },
];

/**
 * Traces of one task, after which a user cancels the task. After `import`, the cancellation reaches worktree-service at
 * about the time when git locks the checkpoint's ref. After `lock`, git has just locked that ref.
 */
export const tracesOfTask = {
  import: (taskId: string): Trace => ({
    at: worktreesOf,
    shows: new RegExp(String.raw`${taskId}/import\.git$`),
  }),
  lock: (taskId: string): Trace => ({
    at: storesOf,
    shows: new RegExp(String.raw`refs/coppice/.*${taskId}.*\.lock$`),
  }),
};

/** Resolves with true when the trace appears, or with false after `waitMsMax`. */
export function traceShows(trace: Trace, system: ChaosSystem, waitMsMax: number): Promise<boolean> {
  return new Promise((resolve) => {
    const watcher = watch(trace.at(system), { recursive: true });
    const end = (shown: boolean): void => {
      clearTimeout(timer);
      watcher.close();
      resolve(shown);
    };
    const timer = setTimeout(() => end(false), waitMsMax);
    watcher.on('change', (_type, file) => {
      if (trace.shows.test(String(file))) end(true);
    });
    // The watcher reports an error when a watched folder is removed, which is normal.
    watcher.on('error', () => undefined);
  });
}

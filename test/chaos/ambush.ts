/**
 * Faults timed to the worst moment: while a service is in the middle of something, it leaves a trace that is visible from outside; when a trace shows, the service
 * is killed.
 */
import { watch } from 'node:fs';
import path from 'node:path';
import type { ServiceName } from '@coppice/contracts';
import type { ChaosSystem } from './system.ts';

/** A visible sign of work in progress. */
export type Trace = {
  /** Path that is watched, with everything below it. */
  at(system: ChaosSystem): string;
  /** Pattern for a changed path below it. */
  shows: RegExp;
};

const storesOf = ({ dataFolder }: ChaosSystem): string => path.join(dataFolder, 'worktree-service/repositories');

const worktreesOf = ({ dataFolder }: ChaosSystem): string => path.join(dataFolder, 'worktree-service/worktrees');

export const traces: readonly (Trace & { service: ServiceName })[] = [
  // A file appears in a worktree: a draft, or the final file.
  {
    service: 'container-service',
    at: worktreesOf,
    shows: /\/tree\/(.*\/)?[^/]+$|coppice-/,
  },
  // Git holds a lock in a store.
  {
    service: 'worktree-service',
    at: storesOf,
    shows: /\.lock$/,
  },
  // The model has received a request or has answered, and nothing is stored yet.
  { service: 'llm-gateway', at: ({ countFile }) => countFile, shows: /./ },
];

/**
 * Traces after which a user cancels this very task. `import`: git starts to store the task's worktree; from there to the lock on the checkpoint's ref it takes about as
 * long as the cancellation takes to reach worktree-service. `lock`: git has just taken that lock.
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

/** Resolves with true when a trace shows, with false when none shows within `waitMsMax`. */
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
    // A watched folder was removed.
    watcher.on('error', () => undefined);
  });
}

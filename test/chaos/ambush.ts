/**
 * Faults that wait for the worst moment: each service leaves a trace that can be seen from outside while it is in the middle of something, and is killed when one
 * shows.
 */
import { watch } from 'node:fs';
import path from 'node:path';
import type { ServiceName } from '@coppice/contracts';
import type { ChaosSystem } from './system.ts';

/** What can be seen of work in progress. */
export type Trace = {
  /** Watched with everything below it. */
  at(system: ChaosSystem): string;
  /** Of a path below. */
  shows: RegExp;
};

const storesOf = ({ dataFolder }: ChaosSystem): string => path.join(dataFolder, 'worktree-service/repositories');

const worktreesOf = ({ dataFolder }: ChaosSystem): string => path.join(dataFolder, 'worktree-service/worktrees');

export const traces: readonly (Trace & { service: ServiceName })[] = [
  // A file appears in a worktree: a draft, or what it becomes.
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
  // The model was asked, or has answered, and nothing is stored yet.
  { service: 'llm-gateway', at: ({ countFile }) => countFile, shows: /./ },
];

/**
 * What a user's cancellation of this very task can meet: `import`, git begins to store its worktree, from which it takes about as long to the lock on the checkpoint's
 * ref as the cancellation takes to worktree-service; `lock`, git has just taken that lock.
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

/** Resolves with true once a trace shows, with false when none has within the time. */
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
    // A folder that is removed while it is being watched.
    watcher.on('error', () => undefined);
  });
}

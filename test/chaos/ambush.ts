/**
 * Faults that wait for the worst moment: each service leaves a trace that can be seen from outside while it is in the middle of something, and is killed when one
 * shows.
 */
import { watch } from 'node:fs';
import path from 'node:path';
import type { ServiceName } from '../support/stack.ts';
import type { ChaosSystem } from './system.ts';

type Trace = {
  service: ServiceName;
  /** Watched with everything below it. */
  at(system: ChaosSystem): string;
  /** Of a path below. */
  shows: RegExp;
};

export const traces: readonly Trace[] = [
  // A file appears in a worktree: a draft, or what it becomes.
  {
    service: 'container-service',
    at: ({ dataFolder }) => path.join(dataFolder, 'worktree-service/worktrees'),
    shows: /\/tree\/(.*\/)?[^/]+$|coppice-/,
  },
  // Git holds a lock in a store.
  {
    service: 'worktree-service',
    at: ({ dataFolder }) => path.join(dataFolder, 'worktree-service/repositories'),
    shows: /\.lock$/,
  },
  // The model was asked, or has answered, and nothing is stored yet.
  { service: 'llm-gateway', at: ({ countFile }) => countFile, shows: /./ },
];

const waitMsMax = 10_000;

/** Resolves with true once a trace shows, with false when none has within ten seconds. */
export function traceShows(trace: Trace, system: ChaosSystem): Promise<boolean> {
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

/** Serves the requests that the gateway sends to the orchestrator before it makes a token. */
import { apiEndpoint } from '@coppice/bus';
import type { Bus } from '@coppice/bus';
import { CoppiceError, api } from '@coppice/contracts';
import type { RunView, TaskView } from '@coppice/contracts';

type KnownTask = Pick<TaskView, 'runId' | 'state' | 'modelLimits'>;
type KnownRun = Pick<RunView, 'state' | 'modelLimits'>;

/** Serves these tasks and runs, by id, to any tenant. */
export async function serveTasksAndRuns(
  bus: Bus,
  { tasks, runs }: { tasks: Record<string, KnownTask>; runs: Record<string, KnownRun> },
): Promise<{ stop(): Promise<void> }> {
  return bus.serve({
    name: 'orchestrator',
    version: '0.0.0',
    description: 'answers as told',
    endpoints: [
      apiEndpoint(api.taskGet, async ({ taskId }, { tenant }): Promise<TaskView> => ({
        ...taskView,
        ...known(tasks[taskId], `task ${taskId}`),
        taskId,
        tenant,
      })),
      apiEndpoint(api.runGet, async ({ runId }, { tenant }): Promise<RunView> => ({
        ...runView,
        ...known(runs[runId], `run ${runId}`),
        runId,
        tenant,
      })),
    ],
  });
}

function known<Entry>(entry: Entry | undefined, what: string): Entry {
  if (entry !== undefined) return entry;
  throw new CoppiceError('not-found', `there is no ${what}`);
}

const time = '2026-11-27T08:00:00.000Z';
const taskView = {
  name: 'a-task',
  description: 'A task',
  reason: null,
  failure: null,
  branch: null,
  commit: null,
  landedCommit: null,
  finishCommand: null,
  rescue: null,
  filesChanged: null,
  protectedPaths: [],
  usage: { inputTokens: 0, outputTokens: 0, costUsd: null },
  modelTurns: 0,
  modelTurnsUnknown: 0,
  logTail: null,
  logArtifact: null,
  createdAt: time,
  updatedAt: time,
  endedAt: null,
};
const runView = {
  requestId: 'a-request',
  repository: '/srv/git/shop.git',
  baseBranch: 'main',
  concurrency: 1,
  tasks: [],
  createdAt: time,
  endedAt: null,
};

/** Fake orchestrator that serves the requests that the gateway sends before it creates a token. */
import { serviceEndpoint } from '@coppice/bus';
import type { Bus } from '@coppice/bus';
import { isTaskEnd, orchestratorCalls } from '@coppice/contracts';
import type { RunView, TaskView } from '@coppice/contracts';

type KnownTask = Pick<TaskView, 'runId' | 'state' | 'modelLimits'>;
type KnownRun = Pick<RunView, 'state' | 'modelLimits'>;

/** Serves these tasks and runs, given by id, to any tenant. */
export async function serveTasksAndRuns(
  bus: Bus,
  { tasks, runs }: { tasks: Record<string, KnownTask>; runs: Record<string, KnownRun> },
): Promise<{ stop(): Promise<void> }> {
  return bus.serve({
    name: 'orchestrator',
    version: '0.0.0',
    description: 'answers from fixed tasks and runs',
    endpoints: [
      serviceEndpoint('orchestrator', orchestratorCalls.taskStatus, async ({ taskId }) => {
        const task = tasks[taskId];
        if (task === undefined) return { task: null };
        return { task: { ...task, hasEnded: isTaskEnd(task.state), modelLimits: task.modelLimits ?? null } };
      }),
      serviceEndpoint('orchestrator', orchestratorCalls.runStatus, async ({ runId }) => {
        const run = runs[runId];
        if (run === undefined) return { run: null };
        return { run: { ...run, hasEnded: run.state !== 'running', modelLimits: run.modelLimits ?? null } };
      }),
    ],
  });
}

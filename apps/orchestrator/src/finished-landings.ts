/**
 * Tasks that ended as `landed-pending` and whose landing the user has finished since. The task's actor is over and can't learn of it: whoever asks
 * for the task is told what holds in the repository now. Nothing is stored.
 */
import type { Bus } from '@coppice/bus';
import { CoppiceError, worktreeCalls } from '@coppice/contracts';
import type { TaskView } from '@coppice/contracts';
import type { ActorView } from '@coppice/durable-actor';
import { taskContextOf, taskView } from './views.ts';

const landingsMax = 500;

/** The views of a tenant's tasks, a finished landing as `merged`. A repository that isn't reached leaves them as they ended. */
export async function taskViews(bus: Bus, tenant: string, actors: readonly ActorView[]): Promise<TaskView[]> {
  const pending = actors.flatMap((actor) => {
    const { owner, repository, baseBranch: branch, landedCommit: commit, finishCommand, state } = taskContextOf(actor);
    if (state !== 'landed-pending' || commit === null || finishCommand === null) return [];
    return [{ taskId: owner.taskId, landing: { repository, branch, commit, finishCommand } }];
  });
  const asked = pending.slice(0, landingsMax);
  const answers = await ask(
    bus,
    tenant,
    asked.map(({ landing }) => landing),
  );
  const finished = new Set(asked.filter((_, index) => answers[index] === true).map(({ taskId }) => taskId));
  return actors.map((actor) => {
    const view = taskView(actor);
    return finished.has(view.taskId) ? { ...view, state: 'merged', reason: null, finishCommand: null } : view;
  });
}

type Landing = { repository: string; branch: string; commit: string; finishCommand: string };

async function ask(bus: Bus, tenant: string, landings: Landing[]): Promise<boolean[]> {
  if (landings.length === 0) return [];
  try {
    return (await bus.call(worktreeCalls.finishedLandings, { service: 'worktree-service' }, { tenant, landings }))
      .finished;
  } catch (error) {
    if (!(error instanceof CoppiceError)) throw error;
    // What was stored is still an answer; the call's span tells of the failure.
    return [];
  }
}

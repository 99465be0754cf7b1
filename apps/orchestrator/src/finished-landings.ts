/**
 * Finds tasks that ended as `landed-pending` and whose landing the user has finished since. Their actors have ended and
 * can't be updated, so each read checks the repository.
 */
import type { Bus } from '@coppice/bus';
import { CoppiceError, worktreeCalls } from '@coppice/contracts';
import type { TaskView } from '@coppice/contracts';
import type { ActorView } from '@coppice/durable-actor';
import { taskContextOf, taskView } from './views.ts';

const landingsMax = 500;

/**
 * Maps actors to task views. A finished landing is reported as `merged`. If the repository can't be reached, the stored
 * state is reported.
 */
export async function taskViews(bus: Bus, tenant: string, actors: readonly ActorView[]): Promise<TaskView[]> {
  const pending = actors.flatMap((actor) => {
    const { owner, repository, baseBranch: branch, landedCommit: commit, finishCommand, state } = taskContextOf(actor);
    if (state !== 'landed-pending' || commit === null || finishCommand === null) return [];
    return [{ taskId: owner.taskId, landing: { repository, branch, commit, finishCommand } }];
  });
  const checked = pending.slice(0, landingsMax);
  const answers = await ask(
    bus,
    tenant,
    checked.map(({ landing }) => landing),
  );
  const finished = new Set(checked.filter((_, index) => answers[index] === true).map(({ taskId }) => taskId));
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
    // The tasks are reported in their stored state. The call's span records the failure.
    return [];
  }
}

/** The commands that act on a run or task: approve, reject, merge, discard, cancel. */
import { api } from '@coppice/contracts';
import type { TaskView } from '@coppice/contracts';
import type { ApiClient } from '../api-client.ts';
import { ask } from '../ask.ts';
import { exitCodes } from '../exit-codes.ts';
import { resolveTarget, resolveTask } from '../ids.ts';
import { nextSteps } from '../output/report.ts';
import { stateText } from '../output/states.ts';
import { jsonLine, plainLine } from '../output/text.ts';
import { withClient } from './session.ts';
import type { CommandResult, Session } from './session.ts';

export type TaskAction = 'approve' | 'reject' | 'merge' | 'discard';
export type ActionOptions = { json: boolean; reason?: string; keepBranch?: boolean };

export function actCommand(session: Session, action: TaskAction, id: string, options: ActionOptions): CommandResult {
  return withClient(session, async (client) => {
    const { taskId } = await resolveTask(client, id);
    const task = await act(client, action, taskId, options);
    printTask(session, task, options.json);
    if (options.keepBranch === true && !options.json && task.branch !== null)
      // Only `coppice pull` writes to the user's repository.
      session.terminal.out(
        plainLine(
          `its branch ${task.branch} is kept by the stack, not in your repository; to have it there: coppice pull ${task.runId}/${task.name}`,
        ),
      );
    return exitCodes.done;
  });
}

function act(client: ApiClient, action: TaskAction, taskId: string, options: ActionOptions): Promise<TaskView> {
  const reason = options.reason === undefined ? {} : { reason: options.reason };
  switch (action) {
    case 'approve':
      return ask(client, api.taskApprove, { taskId });
    case 'merge':
      return ask(client, api.taskMerge, { taskId });
    case 'reject':
      return ask(client, api.taskReject, { taskId, ...reason });
    default:
      return ask(client, api.taskDiscard, { taskId, keepBranch: options.keepBranch ?? false, ...reason });
  }
}

function printTask({ terminal }: Session, task: TaskView, json: boolean): void {
  if (json) return terminal.out(jsonLine(task));
  const reason = task.reason === null ? '' : `: ${task.reason}`;
  terminal.out(plainLine(`${task.name}: ${stateText(task.state)}${reason}`));
  for (const { label, command } of nextSteps(task)) terminal.out(plainLine(`${label}: ${command}`));
}

/** `coppice cancel ID`: cancels a task, or all tasks of a run. */
export function cancelCommand(
  session: Session,
  id: string,
  options: { json: boolean; reason?: string },
): CommandResult {
  const { terminal } = session;
  const reason = options.reason === undefined ? {} : { reason: options.reason };
  return withClient(session, async (client) => {
    const target = await resolveTarget(client, id);
    if (target.kind === 'task') {
      printTask(session, await ask(client, api.taskCancel, { taskId: target.taskId, ...reason }), options.json);
      return exitCodes.done;
    }
    await ask(client, api.runCancel, { runId: target.runId, ...reason });
    terminal.out(
      options.json
        ? jsonLine({ runId: target.runId })
        : `run ${target.runId}: cancelling; what its tasks did so far is kept`,
    );
    return exitCodes.done;
  });
}

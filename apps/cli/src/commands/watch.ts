import { resolveTarget } from '../ids.ts';
import { withClient } from './session.ts';
import type { CommandResult, Session } from './session.ts';
import { watchToTheEnd } from './watching.ts';

/** `coppice watch ID`. */
export function watchCommand(session: Session, id: string, options: { json: boolean }): CommandResult {
  return withClient(session, async (client) => {
    const target = await resolveTarget(client, id);
    const taskId = target.kind === 'task' ? target.taskId : undefined;
    return watchToTheEnd(session, client, { runId: target.runId, taskId, json: options.json });
  });
}

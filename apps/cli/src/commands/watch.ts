import type { StackClient } from '../api-client.ts';
import { followWaitMsMax } from '../ask.ts';
import { resolveTarget } from '../ids.ts';
import { withClient } from './session.ts';
import type { CommandResult, Session } from './session.ts';
import { watchAll } from './watching-all.ts';
import { watchToTheEnd } from './watching.ts';

/** `coppice watch`, `coppice watch ID`. */
export function watchCommand(session: Session, id: string | undefined, options: { json: boolean }): CommandResult {
  const work = async (client: StackClient) => {
    if (id === undefined) return watchAll(session, client, options);
    const target = await resolveTarget(client, id);
    const taskId = target.kind === 'task' ? target.taskId : undefined;
    return watchToTheEnd(session, client, { runId: target.runId, taskId, json: options.json });
  };
  return withClient(session, work, { waitMsMax: followWaitMsMax });
}

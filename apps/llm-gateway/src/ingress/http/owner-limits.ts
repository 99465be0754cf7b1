import type { Bus } from '@coppice/bus';
import { CoppiceError, modelLimitsSchema, orchestratorCalls } from '@coppice/contracts';
import type { TokenGrant } from '@coppice/contracts';
import { z } from 'zod';
import { tokenLimits } from './limits.ts';

/** Model limits that the run file sets for the token's task and run. Both are empty if the token names neither. */
export const ownerLimitsSchema = z.object({ task: modelLimitsSchema, run: modelLimitsSchema });
export type OwnerLimits = z.output<typeof ownerLimitsSchema>;

const service = { service: 'orchestrator' };

type Named = Pick<TokenGrant, 'tenant' | 'runId' | 'taskId'>;

/**
 * Requests the limits from the orchestrator, since the client that requests a token could state wrong ones.
 * @throws CoppiceError `not-found`; `invalid-request` if the task belongs to another run; `conflict` if the task or run
 * has ended or its limits are unknown; `unavailable`.
 */
export async function limitsOfOwner(bus: Bus, { tenant, runId, taskId }: Named): Promise<OwnerLimits> {
  const options = { deadlineMs: tokenLimits.ownerRequestMsMax };
  if (taskId !== '') {
    const { task } = await bus.call(orchestratorCalls.taskStatus, service, { tenant, taskId }, options);
    if (task === null) throw missing(`task ${taskId}`);
    if (task.runId !== runId) throw otherRun(taskId, task.runId, runId);
    if (task.hasEnded) throw ended(`task ${taskId}`, task.state);
    return known(task.modelLimits, `task ${taskId}`);
  }
  if (runId === '') return { task: {}, run: {} };
  const { run } = await bus.call(orchestratorCalls.runStatus, service, { tenant, runId }, options);
  if (run === null) throw missing(`run ${runId}`);
  if (run.hasEnded) throw ended(`run ${runId}`, run.state);
  return { task: {}, run: known(run.modelLimits, `run ${runId}`) };
}

function otherRun(taskId: string, expected: string, received: string): CoppiceError {
  const issues = [{ field: 'grant.runId', expected, received: JSON.stringify(received) }];
  const text = `mint-token: grant.runId: expected ${expected}, the run of task ${taskId}, received ${JSON.stringify(received)}`;
  return new CoppiceError('invalid-request', text, { details: { issues } });
}

const missing = (what: string): CoppiceError => new CoppiceError('not-found', `there is no ${what}`);

const ended = (whose: string, state: string): CoppiceError =>
  new CoppiceError('conflict', `${whose} has ended (${state}): tokens are created only for tasks and runs in progress`);

function known<Limits>(limits: Limits | null, whose: string): Limits {
  if (limits !== null) return limits;
  throw new CoppiceError(
    'conflict',
    `the model limits of ${whose} are not known, since an earlier version started it: no token is created for it`,
  );
}

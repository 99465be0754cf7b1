import { serviceEndpoint } from '@coppice/bus';
import type { Bus, Endpoint } from '@coppice/bus';
import { isTaskEnd, orchestratorCalls } from '@coppice/contracts';
import { readActor } from '@coppice/durable-actor';
import type { ActorView } from '@coppice/durable-actor';
import { runStateOf } from './machines/run-machine.ts';
import { runContextOf, taskContextOf } from './views.ts';

const serviceName = 'orchestrator';

/** Endpoints for other services, which don't use the public API. */
export const callEndpoints = (bus: Bus): Endpoint[] => [
  serviceEndpoint(serviceName, orchestratorCalls.taskStatus, async ({ tenant, taskId }) => {
    const actor = await read(bus, 'task', `${tenant}.${taskId}`);
    if (actor === null) return { task: null };
    const { owner, state, specification } = taskContextOf(actor);
    const modelLimits = specification.modelLimits ?? null;
    return { task: { runId: owner.runId, state, hasEnded: isTaskEnd(state), modelLimits } };
  }),
  serviceEndpoint(serviceName, orchestratorCalls.runStatus, async ({ tenant, runId }) => {
    const actor = await read(bus, 'run', `${tenant}.${runId}`);
    if (actor === null) return { run: null };
    const context = runContextOf(actor);
    const state = runStateOf(context);
    return { run: { state, hasEnded: state !== 'running', modelLimits: context.modelLimits ?? null } };
  }),
];

/** @throws Error if this version can't read the stored value, since null would mean that the actor doesn't exist */
async function read(bus: Bus, kind: 'run' | 'task', id: string): Promise<ActorView | null> {
  const actor = await readActor(bus, kind, id);
  if (actor !== null && actor.context === null && actor.summary === null)
    throw new Error(`the value of ${kind} ${id} can't be read`);
  return actor;
}

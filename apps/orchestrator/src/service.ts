import { serveCommands } from '@coppice/bus';
import { anyPool } from '@coppice/contracts';
import { startActorHost } from '@coppice/durable-actor';
import type { ActorHostOptions } from '@coppice/durable-actor';
import type { RunningWork, ServiceContext } from '@coppice/service';
import { landingActor, runActor, setupActor, taskActor } from './actors.ts';
import { endpoints } from './api.ts';
import { callEndpoints } from './calls.ts';
import { consumeIntake } from './intake.ts';
import { watchForLostNodes } from './lost-nodes.ts';
import { countTasks, observeOrchestrator } from './metrics.ts';
import { runCommandHandlers } from './run-commands.ts';

export type OrchestratorOptions = {
  /** Maximum number of messages that each kind of actor handles at once. */
  concurrency?: number;
  /** Time after which an absent host counts as lost. Default `nodeLostAfterMs`. */
  nodeLostAfterMs?: number;
  hooks?: ActorHostOptions['hooks'];
};

const commandConcurrency = 4;
/** One hour, which is enough to restart or repair a host. */
export const nodeLostAfterMs = 3_600_000;

export async function startOrchestrator(
  service: ServiceContext,
  options: OrchestratorOptions = {},
): Promise<RunningWork> {
  const { bus, member, version } = service;
  const observed = observeOrchestrator(bus);
  const host = await startActorHost({
    bus,
    actors: [runActor, taskActor, landingActor, setupActor],
    clock: service.clock,
    onStored: countTasks,
    onCensus: observed.onCensus,
    ...(options.concurrency === undefined ? {} : { concurrency: options.concurrency }),
    ...(options.hooks === undefined ? {} : { hooks: options.hooks }),
  });
  const commands = await serveCommands(bus, {
    service: 'orchestrator',
    pools: [anyPool],
    concurrency: commandConcurrency,
    member,
    handlers: runCommandHandlers(bus),
  });
  const api = await bus.serve({
    name: 'orchestrator',
    version,
    description: 'Runs and tasks',
    endpoints: [...endpoints(bus), ...callEndpoints(bus)],
  });
  const consumers = await bus.serveTenantConsumers();
  const intake = await consumeIntake(bus);
  const lostNodes = watchForLostNodes(bus, member, { lostAfterMs: options.nodeLostAfterMs ?? nodeLostAfterMs });
  return {
    stop: async () => {
      observed.stop();
      await Promise.all([api.stop(), consumers.stop(), intake.stop(), lostNodes.stop()]);
      await Promise.all([commands.stop(), host.stop()]);
    },
  };
}

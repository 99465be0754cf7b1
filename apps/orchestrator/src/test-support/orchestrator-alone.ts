import { Bus } from '@coppice/bus';
import { api, coppiceEventSchema, streams, subjects } from '@coppice/contracts';
import type { CoppiceEvent, RunView, TaskView, runRequestSchema } from '@coppice/contracts';
import { startService } from '@coppice/service';
import { eventually, startNatsServer } from '@coppice/testing';
import type { NatsServer } from '@coppice/testing';
import type { z } from 'zod';
import { startOrchestrator } from '../service.ts';
import type { OrchestratorOptions } from '../service.ts';
import { StandIns } from './stand-ins.ts';

type Request = z.input<typeof runRequestSchema>;
type Task = Partial<Request['tasks'][number]> & { name: string };

/** A submitted run, with the ids of its tasks by name. */
export type SubmittedRun = { runId: string; ids: Record<string, string> };

/** A real orchestrator on a real nats-server, with stand-ins for the other services. */
export type OrchestratorAlone = {
  nats: NatsServer;
  bus: Bus;
  services: StandIns;
  tenant: string;
  /** Submits a run of `prompt` tasks over the public API. `changes` are fields of the request. */
  submit(tasks: Task[], changes?: Partial<Request>): Promise<SubmittedRun>;
  run(runId: string): Promise<RunView>;
  task(taskId: string): Promise<TaskView>;
  /** Waits until a run has ended. */
  ended(runId: string): Promise<RunView>;
  /** Waits until a task is in this state. */
  reaches(taskId: string, state: string): Promise<TaskView>;
  /** Events of a run and its tasks, in the order of the stream. */
  events(runId: string): Promise<CoppiceEvent[]>;
  stop(): Promise<void>;
};

let runs = 0;

/** Returns a request that is accepted. `changes` are fields of it. */
export const requestOf = (tasks: Task[], changes: Partial<Request> = {}): Request => ({
  requestId: `request-${++runs}`,
  repository: `/repository-${runs}`,
  baseBranch: 'main',
  defaults: { model: 'acme/x', agent: { kind: 'prompt', file: 'one.txt' }, verify: 'sh check.sh' },
  tasks: tasks.map((task) => ({ description: `Do ${task.name}`, prompt: 'write', ...task })),
  ...changes,
});

export async function startOrchestratorAlone(options: OrchestratorOptions = {}): Promise<OrchestratorAlone> {
  const tenant = 'acme';
  const nats = await startNatsServer();
  const bus = await Bus.connect({ ...nats.connection, name: 'test' });
  await bus.ensureResources();
  const services = await new StandIns().start(bus);
  const orchestrator = await startService({
    name: 'orchestrator',
    version: '1.0.0',
    node: 'here',
    connection: nats.connection,
    start: (context) => startOrchestrator(context, options),
  });
  const run = (runId: string) => bus.call(api.runGet, { tenant }, { runId });
  const task = (taskId: string) => bus.call(api.taskGet, { tenant }, { taskId });
  return {
    nats,
    bus,
    services,
    tenant,
    submit: async (tasks, changes) => {
      const submitted = await bus.call(api.runSubmit, { tenant }, requestOf(tasks, changes));
      const ids = Object.fromEntries(submitted.tasks.map(({ name, taskId }) => [name, taskId]));
      return { runId: submitted.runId, ids };
    },
    run,
    task,
    ended: (runId) =>
      eventually(async () => {
        const view = await run(runId);
        return view.state !== 'running' && view;
      }),
    reaches: (taskId, state) =>
      eventually(
        async () => {
          const view = await task(taskId);
          return view.state === state && view;
        },
        { description: `state ${state} of ${taskId}` },
      ),
    events: async (runId) => {
      const found = await Array.fromAsync(bus.read(streams.events, subjects.event(tenant, runId, '*', '*')));
      return found.map((message) => coppiceEventSchema.parse(message.json()));
    },
    stop: async () => {
      await orchestrator.stop();
      await services.stop();
      await bus.close();
      await nats.stop();
    },
  };
}

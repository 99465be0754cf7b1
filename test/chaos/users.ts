/** Plays the users, who submit, cancel and merge. They repeat requests that got no answer. */
import { setTimeout as sleep } from 'node:timers/promises';
import { api, coppiceEventSchema, CoppiceError, runIdOf, streams, subjects, taskIdOf } from '@coppice/contracts';
import type { RunView } from '@coppice/contracts';
import { traceShows, tracesOfTask } from './ambush.ts';
import { requestOf } from './plan.ts';
import type { PlannedTask, RepositoryName, Wave } from './plan.ts';
import type { ChaosSystem } from './system.ts';

const tenant = 'default';
const againMs = 500;
const lookMs = 1_000;
/** After this time the user cancels the task without the trace. */
const traceWaitMsMax = 60_000;

export const runIdOfWave = (wave: Wave): string => runIdOf(tenant, wave.requestId);
export const taskIdOfPlan = (wave: Wave, task: PlannedTask): string => taskIdOf(runIdOfWave(wave), task.name);

type Session = {
  system: ChaosSystem;
  repositories: Readonly<Record<RepositoryName, { path: string }>>;
  signal: AbortSignal;
  say: (line: string) => void;
};

/** Resolves when all runs have ended or the signal is aborted. @returns the ended runs, by id */
export async function playUsers(waves: readonly Wave[], session: Session): Promise<Map<string, RunView>> {
  const runs = new Map<string, RunView>();
  const startedAt = Date.now();
  await Promise.all(
    waves.map(async (wave) => {
      // An abort only ends the wait. The calls below check the signal themselves.
      await sleep(wave.atMs, undefined, { signal: session.signal }).catch(() => undefined);
      await submit(wave, session);
      session.say(`submitted ${wave.requestId} (${wave.tasks.length} tasks, ${Date.now() - startedAt} ms)`);
      const acting = wave.tasks.map((task) => act(wave, task, session));
      const run = await ended(wave, session);
      if (run !== null) {
        runs.set(run.runId, run);
        session.say(`${wave.requestId} ended: ${run.state}`);
      }
      await Promise.all(acting);
    }),
  );
  return runs;
}

async function submit(wave: Wave, { system, repositories, signal }: Session): Promise<void> {
  const request = requestOf(wave, { repository: repositories[wave.repository].path, model: system.model });
  await persist(signal, async () => {
    if (wave.by === 'request') await system.bus.call(api.runSubmit, { tenant }, request as never);
    else await system.bus.publish(subjects.intake(tenant), request);
  });
}

async function act(wave: Wave, task: PlannedTask, { system, signal }: Session): Promise<void> {
  const taskId = taskIdOfPlan(wave, task);
  if (task.cancel !== undefined) {
    const { after } = task.cancel;
    if (after !== 'submission') await traceShows(tracesOfTask[after](taskId), system, traceWaitMsMax);
    await sleep(task.cancel.ms, undefined, { signal }).catch(() => undefined);
    await persist(signal, async () => {
      await system.bus.call(api.taskCancel, { tenant }, { taskId, reason: 'a user cancels it' }).catch(ignoreConflict);
    });
  }
  if (task.kind !== 'manual') return;
  await persist(signal, async () => {
    const { state, endedAt } = await system.bus.call(api.taskGet, { tenant }, { taskId });
    if (endedAt !== null || state === 'landing' || state === 'cleaning') return;
    if (state === 'ready') await system.bus.call(api.taskMerge, { tenant }, { taskId }).catch(ignoreConflict);
    throw new Error(`${task.name} is ${state}`);
  });
}

/** The error `conflict` is the correct answer to a request that comes too late for the task's state. */
function ignoreConflict(error: unknown): void {
  if (!(error instanceof CoppiceError) || error.code !== 'conflict') throw error;
}

async function ended(wave: Wave, { system, signal }: Session): Promise<RunView | null> {
  let run: RunView | null = null;
  await persist(
    signal,
    async () => {
      const seen = await system.bus.call(api.runGet, { tenant }, { runId: runIdOfWave(wave) });
      if (seen.state === 'running') throw new Error('it goes on');
      run = seen;
    },
    lookMs,
  );
  return run;
}

async function persist(signal: AbortSignal, attempt: () => Promise<void>, waitMs = againMs): Promise<void> {
  while (!signal.aborted) {
    try {
      await attempt();
      return;
    } catch {
      await sleep(waitMs, undefined, { signal }).catch(() => undefined);
    }
  }
}

export type StoredEvent = { at: number; taskId: string; event: ReturnType<typeof coppiceEventSchema.parse> };

/** Returns all events in the order of storage. */
export async function storedEvents(system: ChaosSystem): Promise<StoredEvent[]> {
  const all: StoredEvent[] = [];
  for await (const message of system.bus.read(streams.events, subjects.event(tenant, '*', '*', '*'))) {
    const taskId = message.subject.split('.')[4] ?? '';
    all.push({ at: message.publishedAt.getTime(), taskId, event: coppiceEventSchema.parse(message.json()) });
  }
  return all;
}

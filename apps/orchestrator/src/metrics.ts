/**
 * The orchestrator's metrics. Task progress comes from each stored transition, the numbers of actors from the sweeper's
 * walks. The queues are read at each collection.
 *
 * A transition is counted after it is stored, so a redelivered message isn't counted twice. If the process is killed
 * between storing and counting, the transition isn't counted.
 */
import type { Bus } from '@coppice/bus';
import { coppiceEventSchema, streams, isTaskEnd } from '@coppice/contracts';
import type { Census, OnStored } from '@coppice/durable-actor';
import { addToCounter, metricsAreOn, observeGauge, recordValue } from '@coppice/telemetry';
import type { TaskContext } from './machines/task/task-context.ts';

/** Maximum age of a reported census. A walk may take longer than the pause between two walks. */
const censusAgeMsMax = 10 * 60_000;
/** Time for which a reading of the queues is reused, so that frequent scrapes cost the NATS server little. */
const queuesAgeMsMax = 5_000;

export const countTasks: OnStored = ({ kind, before, events }) => {
  if (kind !== 'task' || !metricsAreOn()) return;
  let enteredAtMs = (before as TaskContext | null)?.enteredAtMs ?? null;
  for (const each of events) {
    const event = coppiceEventSchema.safeParse(each).data;
    if (event?.type !== 'coppice.task-state') continue;
    const { from, to } = event.data;
    const atMs = Date.parse(event.time);
    if (from !== null && enteredAtMs !== null) {
      recordValue('coppice.task.step.duration', Math.max(0, atMs - enteredAtMs) / 1_000, { state: from });
    }
    if (isTaskEnd(to)) addToCounter('coppice.task.ended', 1, { state: to });
    enteredAtMs = atMs;
  }
};

export type ObservedOrchestrator = { onCensus: (census: Census) => void; stop(): void };

export function observeOrchestrator(bus: Bus): ObservedOrchestrator {
  let census: Census = [];
  let takenAtMs = Number.NEGATIVE_INFINITY;
  const queues = rememberedFor(queuesAgeMsMax, () => bus.queues());
  const observed = [
    observeGauge('coppice.actors', () =>
      performance.now() - takenAtMs > censusAgeMsMax
        ? []
        : census.map(({ kind, state, count }) => ({ value: count, labels: { kind, state } })),
    ),
    observeGauge('coppice.queue.messages', async () =>
      (await queues()).flatMap(({ name, waiting, inProgress, redelivered }) => [
        { value: waiting, labels: { queue: name, state: 'waiting' } },
        { value: inProgress, labels: { queue: name, state: 'in-progress' } },
        { value: redelivered, labels: { queue: name, state: 'redelivered' } },
      ]),
    ),
    observeGauge('coppice.queue.oldest.age', async () =>
      (await queues()).map(({ name, oldestAgeMs }) => ({
        value: (oldestAgeMs ?? 0) / 1_000,
        labels: { queue: name },
      })),
    ),
    observeGauge('coppice.dead.letters', async () => [
      { value: await bus.storedMessages(streams.deadLetters), labels: {} },
    ]),
    observeGauge('coppice.dead.letters.last', async () => [
      { value: await bus.lastSequence(streams.deadLetters), labels: {} },
    ]),
    observeGauge('coppice.stream.used', async () =>
      (await bus.fullness()).map(({ stream, share }) => ({ value: share, labels: { stream } })),
    ),
  ];
  return {
    onCensus: (taken) => {
      census = taken;
      takenAtMs = performance.now();
    },
    stop: () => {
      for (const end of observed) end();
    },
  };
}

/** Caches the result of `ask`, also for concurrent callers. A failure isn't cached. */
function rememberedFor<Value>(ageMsMax: number, ask: () => Promise<Value>): () => Promise<Value> {
  let latest: { value: Promise<Value>; atMs: number } | null = null;
  return () => {
    if (latest !== null && performance.now() - latest.atMs < ageMsMax) return latest.value;
    const value = ask();
    latest = { value, atMs: performance.now() };
    value.catch(() => (latest = null));
    return value;
  };
}

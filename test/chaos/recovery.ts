import { kindOfTaskState } from '@coppice/contracts';
import { faultKinds } from './faults.ts';
import type { AppliedFault, FaultKind } from './faults.ts';
import type { StoredEvent } from './users.ts';

export type Recovery = { faults: number; p50Ms: number | null; p99Ms: number | null };

/** Returns true if a task in this state does no work. It waits for something, or has ended. */
const isAtRest = (state: string): boolean => state === 'landing' || kindOfTaskState(state) !== 'busy';

/**
 * Returns the recovery time for each kind of fault. It lasts from the fault's start until every task that was running
 * then has published its next event. Faults overlap, so the time may include delays by other faults.
 */
export function recoveryByKind(
  faults: readonly AppliedFault[],
  events: readonly StoredEvent[],
): Record<FaultKind, Recovery> {
  const byTask = new Map<string, { at: number; state: string | null }[]>();
  for (const { at, taskId, event } of events) {
    const steps = byTask.get(taskId) ?? [];
    steps.push({ at, state: event.type === 'coppice.task-state' ? event.data.to : null });
    byTask.set(taskId, steps);
  }
  const timesOf = (kind: FaultKind): number[] =>
    faults
      .filter((fault) => fault.kind === kind && fault.struck)
      .map(({ startedAt }) => Math.max(...[...byTask.values()].map((steps) => timeToNextStep(steps, startedAt))))
      .filter((time) => time >= 0)
      .toSorted((one, other) => one - other);
  return Object.fromEntries(
    faultKinds.map((kind) => {
      const times = timesOf(kind);
      return [kind, { faults: times.length, p50Ms: percentile(times, 0.5), p99Ms: percentile(times, 0.99) }];
    }),
  ) as Record<FaultKind, Recovery>;
}

/** Returns -1 if the task did no work at `from` or has no later event. */
function timeToNextStep(steps: readonly { at: number; state: string | null }[], from: number): number {
  const before = steps.filter(({ at }) => at <= from);
  const state = before.findLast((step) => step.state !== null)?.state ?? null;
  if (state === null || isAtRest(state)) return -1;
  const next = steps.find(({ at }) => at > from);
  return next === undefined ? -1 : next.at - from;
}

const percentile = (sorted: readonly number[], share: number): number | null =>
  sorted.length === 0 ? null : (sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)] ?? null);

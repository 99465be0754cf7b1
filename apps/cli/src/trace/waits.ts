/** Computes the waits of a task from its events. Pure. */
import { isTaskEnd } from '@coppice/contracts';
import type { CoppiceEvent, TaskStateOf, TaskStep } from '@coppice/contracts';
import { step } from './step.ts';
import type { Step, WaitCause, Waits } from './step.ts';

export type TaskStateEvent = Extract<CoppiceEvent, { type: 'coppice.task-state' }>;

export const isTaskState = (event: CoppiceEvent): event is TaskStateEvent => event.type === 'coppice.task-state';

/** Start and end of a task, in milliseconds since 1970; null while the task has not started or not ended. */
type Life = { startedAtMs: number | null; endedAtMs: number | null };
const never = Number.POSITIVE_INFINITY;
/** Start and end of each task, by name. */
export type Lives = ReadonlyMap<string, Life>;

export function livesIn(events: readonly CoppiceEvent[]): Lives {
  const lives = new Map<string, Life>();
  for (const { data, time } of events.filter(isTaskState)) {
    const life = lives.get(data.name) ?? { startedAtMs: null, endedAtMs: null };
    if (data.from === 'waiting' && !isTaskEnd(data.to)) life.startedAtMs = Date.parse(time);
    if (isTaskEnd(data.to)) life.endedAtMs = Date.parse(time);
    lives.set(data.name, life);
  }
  return lives;
}

const wait = (name: string, cause: WaitCause, startedAtMs: number, endedAtMs: number | null): Step =>
  step('wait', name, startedAtMs, {
    endedAtMs,
    waits: endedAtMs === null ? {} : { [cause]: endedAtMs - startedAtMs },
  });

/**
 * Returns the waits before a task starts. First it waits for its dependencies. Then it waits for a place among the
 * active tasks, or for the orchestrator if places were free.
 */
export function beforeStart(
  { name, dependsOn = [] }: TaskStateEvent['data'],
  startedAtMs: number,
  endedAtMs: number | null,
  lives: Lives,
): Step[] {
  const lands = (dependency: string) => lives.get(dependency)?.endedAtMs ?? never;
  const [last] = dependsOn.toSorted((left, right) => lands(right) - lands(left));
  const readyAtMs = last === undefined ? startedAtMs : Math.max(startedAtMs, Math.min(lands(last), endedAtMs ?? never));
  const steps: Step[] = [];
  if (last !== undefined && readyAtMs > startedAtMs) {
    const until = readyAtMs === never ? null : readyAtMs;
    steps.push(wait(`waits for ${last} to land`, 'dependency', startedAtMs, until));
  }
  if (readyAtMs === never || readyAtMs === endedAtMs) return steps;
  const others = [...lives].flatMap(([other, life]) => (other === name ? [] : [life]));
  return isCrowded(others, readyAtMs, endedAtMs)
    ? [...steps, wait('waits for a place', 'place', readyAtMs, endedAtMs)]
    : [...steps, wait('waits for the orchestrator', 'orchestrator', readyAtMs, endedAtMs)];
}

/**
 * Guesses whether all places for active tasks were taken. True if other tasks were active during more than half of the
 * time.
 */
function isCrowded(others: readonly Life[], fromMs: number, toMs: number | null): boolean {
  const atWork = others.flatMap(({ startedAtMs, endedAtMs }) =>
    startedAtMs === null ? [] : [{ startedAtMs, endedAtMs: endedAtMs ?? never }],
  );
  if (toMs === null) return atWork.some(({ endedAtMs }) => endedAtMs === never);
  const overlaps = atWork.map((life) => Math.min(life.endedAtMs, toMs) - Math.max(life.startedAtMs, fromMs));
  return overlaps.reduce((sum, overlapMs) => sum + Math.max(0, overlapMs), 0) > (toMs - fromMs) / 2;
}

/** Causes of waits for the user's decision, by state. */
const personCauses: Readonly<Record<TaskStateOf<'needs-you'>, WaitCause>> = {
  'awaiting-approval': 'approval',
  ready: 'merge',
};

export function waitsForPerson(state: string, startedAtMs: number, endedAtMs: number | null): Waits {
  const cause = new Map<string, WaitCause>(Object.entries(personCauses)).get(state);
  return cause === undefined || endedAtMs === null ? {} : { [cause]: endedAtMs - startedAtMs };
}

/** Values of `what` in an event's `steps`. The first is the wait for a landing slot, the second a model call. */
const landingTurn = 'landing';
const modelTurn = 'llm-gateway.turn';

/** @returns null for a model call that the transcript contains in more detail */
export function orderedStep(ordered: TaskStep, transcriptIsThere: boolean): Step | null {
  const { what, queuedMs, error } = ordered;
  if (what === modelTurn && error === null && transcriptIsThere) return null;
  const [orderedAtMs, endedAtMs] = [Date.parse(ordered.orderedAt), Date.parse(ordered.endedAt)];
  if (what === landingTurn) return wait('waits for its turn to land', 'landing-turn', orderedAtMs, endedAtMs);
  return step('step', what, Math.min(orderedAtMs + (queuedMs ?? 0), endedAtMs), {
    endedAtMs,
    outcome: error,
    queuedMs,
    waits: waitsOf(ordered),
  });
}

export function waitsOf({ what, orderedAt, endedAt, queuedMs, workedMs }: TaskStep): Waits {
  const tookMs = Date.parse(endedAt) - Date.parse(orderedAt);
  if (what === landingTurn) return { 'landing-turn': tookMs };
  if (queuedMs === null) return {};
  // `queuedMs` is computed from the clocks of two machines, so it can exceed the total.
  const queue = Math.min(queuedMs, tookMs);
  return workedMs === null ? { queue } : { queue, orchestrator: Math.max(0, tookMs - queue - workedMs) };
}

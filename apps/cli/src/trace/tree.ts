/** Builds the tree of a run's time from stored events and transcripts. Pure. */
import { isTaskEnd } from '@coppice/contracts';
import type { CoppiceEvent, TaskState, TranscriptEntry, Usage } from '@coppice/contracts';
import { answeredBy } from '../transcript.ts';
import { step, sumOfWaits } from './step.ts';
import type { Step } from './step.ts';
import { beforeStart, isTaskState, livesIn, orderedStep, waitsForPerson, waitsOf } from './waits.ts';
import type { Lives, TaskStateEvent } from './waits.ts';

/** `events`: all events of the run, in stream order, each once. `turns`: transcripts by task id. */
export type StoredTrace = { events: readonly CoppiceEvent[]; turns: ReadonlyMap<string, readonly TranscriptEntry[]> };

/** Returns null if none of the run's events is still stored. */
export function runTree(runId: string, stored: StoredTrace): Step | null {
  const times = stored.events.map((event) => Date.parse(event.time));
  const [firstMs] = times.toSorted((left, right) => left - right);
  if (firstMs === undefined) return null;
  const tasks = [...new Set(stored.events.flatMap((event) => ('taskId' in event.data ? [event.data.taskId] : [])))];
  const lives = livesIn(stored.events);
  const children = tasks.flatMap((taskId) => taskTree(taskId, stored, lives) ?? []);
  const end = stored.events.find((event) => event.type === 'coppice.run-ended');
  return step('run', runId, firstMs, {
    endedAtMs: end === undefined ? null : Date.parse(end.time),
    outcome: end === undefined ? 'running' : end.data.state,
    usage: sum(children),
    children,
  });
}

/** Returns null if none of the task's state events is still stored. */
export function taskTree(taskId: string, { events, turns }: StoredTrace, lives: Lives = livesIn(events)): Step | null {
  const own = events.filter((event) => 'taskId' in event.data && event.data.taskId === taskId);
  const entered = own.filter(isTaskState);
  const [first] = entered;
  const last = entered.at(-1);
  if (first === undefined || last === undefined) return null;
  const turnSteps = (turns.get(taskId) ?? []).map(turnStep);
  const states = entered
    .filter((event) => !isTaskEnd(event.data.to))
    .map((event) => stateStep(event, own, lives, turnSteps.length > 0));
  for (const turn of turnSteps) stateAt(states, turn.endedAtMs ?? turn.startedAtMs)?.children.push(turn);
  for (const { children } of states) children.sort((left, right) => left.startedAtMs - right.startedAtMs);
  return step('task', first.data.name, Date.parse(first.time), {
    endedAtMs: isTaskEnd(last.data.to) ? Date.parse(last.time) : null,
    outcome: last.data.to,
    reason: last.data.reason,
    usage: sum(turnSteps),
    waits: sumOfWaits(states.map(({ waits }) => waits)),
    children: states,
  });
}

/** The state's steps are in the later events, up to the event that ends the state. */
function stateStep(
  event: TaskStateEvent,
  own: readonly CoppiceEvent[],
  lives: Lives,
  transcriptIsThere: boolean,
): Step {
  const later = own.slice(own.indexOf(event) + 1);
  const nextIndex = later.findIndex(isTaskState);
  const next = later[nextIndex];
  const steps = (next === undefined ? later : later.slice(0, nextIndex + 1)).flatMap((each) =>
    'steps' in each.data ? (each.data.steps ?? []) : [],
  );
  const startedAtMs = Date.parse(event.time);
  const endedAtMs = next === undefined ? null : Date.parse(next.time);
  const { to, reason } = event.data;
  const before = to === 'waiting' ? beforeStart(event.data, startedAtMs, endedAtMs, lives) : [];
  return step('state', to, startedAtMs, {
    endedAtMs,
    reason,
    waits: sumOfWaits([
      waitsForPerson(to, startedAtMs, endedAtMs),
      ...before.map(({ waits }) => waits),
      ...steps.map(waitsOf),
    ]),
    children: [...before, ...steps.flatMap((each) => orderedStep(each, transcriptIsThere) ?? [])],
  });
}

/** An entry's `time` is the end of the turn. */
function turnStep({ time, model, output }: TranscriptEntry, index: number): Step {
  const endedAtMs = Date.parse(time);
  return step('turn', `turn ${index + 1}`, endedAtMs - output.latencyMs, {
    endedAtMs,
    usage: output.usage,
    queuedMs: output.queuedMs ?? null,
    attempts: output.attempts ?? null,
    cached: output.cached === true,
    model,
    answeredBy: answeredBy(output),
  });
}

/**
 * Returns the last `working` state that began before a turn's end. The state's end isn't compared, since the gateway
 * and the orchestrator have different clocks.
 */
function stateAt(states: readonly Step[], atMs: number): Step | undefined {
  const atWork = states.filter(({ name }) => name === ('working' satisfies TaskState));
  return atWork.findLast((state) => state.startedAtMs <= atMs) ?? atWork[0] ?? states[0];
}

function sum(steps: readonly Step[]): Usage | null {
  const usages = steps.flatMap(({ usage }) => usage ?? []);
  if (usages.length === 0) return null;
  const known = usages.flatMap(({ costUsd }) => costUsd ?? []);
  return {
    inputTokens: usages.reduce((total, { inputTokens }) => total + inputTokens, 0),
    outputTokens: usages.reduce((total, { outputTokens }) => total + outputTokens, 0),
    // If a cost is unknown, the sum is null, since a partial sum would look like the total.
    costUsd: known.length === usages.length ? known.reduce((total, costUsd) => total + costUsd, 0) : null,
  };
}

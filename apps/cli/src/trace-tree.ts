/** Where the time of a run went, from its stored events and its tasks' transcripts. Pure. */
import type { CoppiceEvent, TranscriptEntry, Usage } from '@coppice/contracts';
import { isEnd } from './progress.ts';

export type Step = {
  name: string;
  kind: 'run' | 'task' | 'state' | 'turn';
  /** Milliseconds since 1970. */
  startedAtMs: number;
  /** Null while it goes on. */
  endedAtMs: number | null;
  /** What came of it: a run's or task's state. */
  outcome: string | null;
  reason: string | null;
  /** Of a turn, or of all turns of a task or run together. */
  usage: Usage | null;
  /** Of a turn: how long it waited for a gateway, where that was recorded. */
  queuedMs: number | null;
  /** Of a turn: how often a provider was asked, where that was recorded. */
  attempts: number | null;
  /** Of a turn, as `provider/model`. */
  model: string | null;
  children: Step[];
};

export type StoredTrace = { events: readonly CoppiceEvent[]; turns: ReadonlyMap<string, readonly TranscriptEntry[]> };

type TaskStateEvent = Extract<CoppiceEvent, { type: 'coppice.task-state' }>;

const step = (kind: Step['kind'], name: string, startedAtMs: number, rest: Partial<Step> = {}): Step => ({
  name,
  kind,
  startedAtMs,
  endedAtMs: null,
  outcome: null,
  reason: null,
  usage: null,
  queuedMs: null,
  attempts: null,
  model: null,
  children: [],
  ...rest,
});

/** A run with its tasks. Null where none of its events is stored any more. */
export function runTree(runId: string, stored: StoredTrace): Step | null {
  const times = stored.events.map((event) => Date.parse(event.time));
  const [firstMs] = times.toSorted((left, right) => left - right);
  if (firstMs === undefined) return null;
  const tasks = [...new Set(stored.events.flatMap((event) => ('taskId' in event.data ? [event.data.taskId] : [])))];
  const children = tasks.flatMap((taskId) => taskTree(taskId, stored) ?? []);
  const end = stored.events.find((event) => event.type === 'coppice.run-ended');
  return step('run', runId, firstMs, {
    endedAtMs: end === undefined ? null : Date.parse(end.time),
    outcome: end === undefined ? 'running' : end.data.state,
    usage: sum(children),
    children,
  });
}

/** A task with the states it was in. Null where none of its events is stored any more. */
export function taskTree(taskId: string, { events, turns }: StoredTrace): Step | null {
  const entered = events.filter(
    (event): event is TaskStateEvent => event.type === 'coppice.task-state' && event.data.taskId === taskId,
  );
  const [first] = entered;
  const last = entered.at(-1);
  if (first === undefined || last === undefined) return null;
  const isOver = isEnd(last.data.to);
  const states = entered
    .filter((event) => !isEnd(event.data.to))
    .map((event) => {
      const next = entered[entered.indexOf(event) + 1];
      return step('state', event.data.to, Date.parse(event.time), {
        endedAtMs: next === undefined ? null : Date.parse(next.time),
        reason: event.data.reason,
      });
    });
  const turnSteps = (turns.get(taskId) ?? []).map(turnStep);
  for (const turn of turnSteps) stateAt(states, turn.endedAtMs ?? turn.startedAtMs)?.children.push(turn);
  return step('task', first.data.name, Date.parse(first.time), {
    endedAtMs: isOver ? Date.parse(last.time) : null,
    outcome: last.data.to,
    reason: last.data.reason,
    usage: sum(turnSteps),
    children: states,
  });
}

/** An entry is stored when its turn has ended. */
function turnStep({ time, model, output }: TranscriptEntry, index: number): Step {
  const endedAtMs = Date.parse(time);
  return step('turn', `turn ${index + 1}`, endedAtMs - output.latencyMs, {
    endedAtMs,
    usage: output.usage,
    queuedMs: output.queuedMs ?? null,
    attempts: output.attempts ?? null,
    model,
  });
}

/** The state in which a turn ended; the clocks of gateway and orchestrator differ a little, so the last that had begun. */
const stateAt = (states: readonly Step[], atMs: number): Step | undefined =>
  states.findLast((state) => state.startedAtMs <= atMs) ?? states[0];

function sum(steps: readonly Step[]): Usage | null {
  const usages = steps.flatMap(({ usage }) => usage ?? []);
  if (usages.length === 0) return null;
  const known = usages.flatMap(({ costUsd }) => costUsd ?? []);
  return {
    inputTokens: usages.reduce((total, { inputTokens }) => total + inputTokens, 0),
    outputTokens: usages.reduce((total, { outputTokens }) => total + outputTokens, 0),
    // A sum that leaves some out would be taken for the whole.
    costUsd: known.length === usages.length ? known.reduce((total, costUsd) => total + costUsd, 0) : null,
  };
}

import type { Usage } from '@coppice/contracts';

/** What a task can wait for, in the order in which it is told. */
export const waitCauses = [
  'dependency',
  'place',
  'landing-turn',
  'approval',
  'merge',
  'queue',
  'orchestrator',
] as const;
export type WaitCause = (typeof waitCauses)[number];
/** Milliseconds by what was waited for; what is still waited for isn't in it. */
export type Waits = Partial<Record<WaitCause, number>>;

/** A span of a run's time. A `step` is what a task ordered from a service; a `wait` is time in which nothing was done for it. */
export type Step = {
  name: string;
  kind: 'run' | 'task' | 'state' | 'turn' | 'step' | 'wait';
  /** Milliseconds since 1970; of a step or turn when it was begun, after its time in a queue. */
  startedAtMs: number;
  /** Null while it goes on. */
  endedAtMs: number | null;
  /** What came of it: a run's or task's state, the error code of a step that failed. */
  outcome: string | null;
  reason: string | null;
  /** Of a turn, or of all turns of a task or run together. */
  usage: Usage | null;
  /** Of a turn or step: how long it waited for a service, where that was recorded. */
  queuedMs: number | null;
  /** Of a turn: how often a provider was asked, where that was recorded. */
  attempts: number | null;
  /** Of a turn: whether its answer is an earlier one, and no provider was asked. */
  cached: boolean;
  /** Of a turn, as asked for: `provider/model`, or an alias. */
  model: string | null;
  /** Of a turn: who answered, as `provider/model` in the provider's words; null where that was not recorded. */
  answeredBy: string | null;
  /** Of a step, and all there were in a state or task. None of a run, whose tasks wait at the same time. */
  waits: Waits;
  children: Step[];
};

export const step = (kind: Step['kind'], name: string, startedAtMs: number, rest: Partial<Step> = {}): Step => ({
  name,
  kind,
  startedAtMs,
  endedAtMs: null,
  outcome: null,
  reason: null,
  usage: null,
  queuedMs: null,
  attempts: null,
  cached: false,
  model: null,
  answeredBy: null,
  waits: {},
  children: [],
  ...rest,
});

export function sumOfWaits(all: readonly Waits[]): Waits {
  const sum: Waits = {};
  for (const waits of all)
    for (const cause of waitCauses) {
      const waitMs = waits[cause];
      if (waitMs !== undefined) sum[cause] = (sum[cause] ?? 0) + waitMs;
    }
  return sum;
}

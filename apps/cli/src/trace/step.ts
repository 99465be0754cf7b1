import type { Usage } from '@coppice/contracts';

/** Causes of waits, in the order in which they are printed. */
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
/** Milliseconds of waits that have ended, by cause. */
export type Waits = Partial<Record<WaitCause, number>>;

/**
 * A span of a run's time. The kind `step` is an operation that a service did for a task. The kind `wait` is a time
 * without work for the task.
 */
export type Step = {
  name: string;
  kind: 'run' | 'task' | 'state' | 'turn' | 'step' | 'wait';
  /** Start in milliseconds since 1970. Steps and turns start when they leave the queue. */
  startedAtMs: number;
  /** End in milliseconds since 1970; null while the span lasts. */
  endedAtMs: number | null;
  /** The state of a run or task, or the error code of a failed step. */
  outcome: string | null;
  reason: string | null;
  /** Usage of a turn, or of all turns of a task or run. */
  usage: Usage | null;
  /** For a turn or step: milliseconds in the service's queue, if recorded. */
  queuedMs: number | null;
  /** For a turn: number of requests to providers, if recorded. */
  attempts: number | null;
  /** For a turn: true if its answer came from the gateway's cache. */
  cached: boolean;
  /** For a turn: the requested `provider/model` or alias. */
  model: string | null;
  /** For a turn: the result of `answeredBy` in transcript.ts. */
  answeredBy: string | null;
  /** Waits of a step, or their sum for a state or task. Empty for a run, since its tasks wait at the same time. */
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

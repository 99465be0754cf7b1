import type { Usage } from '@coppice/contracts';

/** What a task can wait for, in the order of the output. */
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
/** Milliseconds of finished waits, by cause. */
export type Waits = Partial<Record<WaitCause, number>>;

/** A span of a run's time. A `step` is an operation that a task requested from a service; a `wait` is time without any work for the task. */
export type Step = {
  name: string;
  kind: 'run' | 'task' | 'state' | 'turn' | 'step' | 'wait';
  /** Milliseconds since 1970. For a step or turn: the time when it left the queue and started. */
  startedAtMs: number;
  /** Milliseconds since 1970; null while it runs. */
  endedAtMs: number | null;
  /** The state of a run or task, or the error code of a failed step. */
  outcome: string | null;
  reason: string | null;
  /** Usage of a turn, or of all turns of a task or run. */
  usage: Usage | null;
  /** For a turn or step: milliseconds of waiting for a service, if recorded. */
  queuedMs: number | null;
  /** For a turn: number of requests to providers, if recorded. */
  attempts: number | null;
  /** For a turn: true if its answer came from the gateway's cache. */
  cached: boolean;
  /** For a turn: the requested `provider/model` or alias. */
  model: string | null;
  /** For a turn: the `provider/model` that answered, with the provider's own model name; null if not recorded. */
  answeredBy: string | null;
  /** Waits of a step, or the sum for a state or task. Empty for a run, whose tasks wait at the same time. */
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

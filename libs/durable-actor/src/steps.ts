import type { ActorMessage } from '@coppice/contracts';
import { actorLimits } from './limits.ts';
import type { ActorValue, InFlight } from './value.ts';

/** An ended effect. The actor's next event reports it, so that a reader of the events sees what took the time. */
export type Step = {
  /** `<service>.<operation>` of a command, or the kind of the actor that got a request. */
  what: string;
  /** Start of the effect by the actor's clock, in milliseconds since 1970. */
  orderedAtMs: number;
  /** Time at which the actor handled the result or cancelled the effect, in milliseconds since 1970. */
  endedAtMs: number;
  /** Time that the command waited in its queue. Null if unknown. */
  queuedMs: number | null;
  /** Time that the service worked on the command. Null if unknown. */
  workedMs: number | null;
  /** Code of the error, or `cancelled`. Null if the effect succeeded. */
  error: string | null;
};

type Result = Extract<ActorMessage, { type: 'result' }>;

/** @param result null if the effect was cancelled */
export function noteStep(draft: ActorValue, effect: InFlight, endedAtMs: number, result: Result | null): void {
  // Timers aren't reported. `ordered` is missing if the actor emits no events, or if an earlier version started the
  // effect.
  if (effect.type === 'timer' || effect.ordered === undefined) return;
  const { what, atMs } = effect.ordered;
  const steps = (draft.steps ??= []);
  if (steps.length >= actorLimits.stepsMax) return;
  steps.push({
    what,
    orderedAtMs: atMs,
    endedAtMs,
    queuedMs: result?.queuedMs ?? null,
    workedMs: result?.workedMs ?? null,
    error: result === null ? 'cancelled' : result.outcome.status === 'failed' ? result.outcome.error.code : null,
  });
}

/** Removes the steps from the draft, so that each step is reported once. */
export function takeSteps(draft: ActorValue): Step[] {
  const steps = draft.steps ?? [];
  delete draft.steps;
  return steps;
}

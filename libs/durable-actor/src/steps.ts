import type { ActorMessage } from '@coppice/contracts';
import { actorLimits } from './limits.ts';
import type { ActorValue, InFlight } from './value.ts';

/**
 * An ended effect of an actor. A step is kept in the actor's value until the next emitted event. That event reports it, so that a reader of the events can see
 * what took the time.
 */
export type Step = {
  /** `<service>.<operation>` of a command, or the kind of the actor that a request was sent to. */
  what: string;
  /** Start of the effect by the actor's own clock, in milliseconds since 1970. */
  orderedAtMs: number;
  /** Time at which the actor handled the result or cancelled the effect, in milliseconds since 1970. */
  endedAtMs: number;
  /** Time that the command waited in its queue; null if unknown. */
  queuedMs: number | null;
  /** Time that its executor took; null if unknown. The rest is transport. */
  workedMs: number | null;
  /** The error's code, or `cancelled`; null if the effect succeeded. */
  error: string | null;
};

type Result = Extract<ActorMessage, { type: 'result' }>;

/** Records that an effect has ended, by its result or because it was cancelled. Changes the draft. */
export function noteStep(draft: ActorValue, effect: InFlight, endedAtMs: number, result: Result | null): void {
  // Timers aren't reported. An effect has no start time if its actor emits no events or if an earlier version started the effect.
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

/** Returns the steps since the last event and removes them, so that each is reported once. Changes the draft. */
export function takeSteps(draft: ActorValue): Step[] {
  const steps = draft.steps ?? [];
  delete draft.steps;
  return steps;
}

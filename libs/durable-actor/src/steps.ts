import type { ActorMessage } from '@coppice/contracts';
import { actorLimits } from './limits.ts';
import type { ActorValue, InFlight } from './value.ts';

/**
 * What an actor ordered from others and got, kept in its value until it emits its next event, which tells it: so that whoever reads the events can
 * tell where its time went.
 */
export type Step = {
  /** `<service>.<operation>` of a command, the kind of the actor that a request was sent to. */
  what: string;
  /** By the actor's own clock, in milliseconds since 1970. */
  orderedAtMs: number;
  /** When its result was handled, or the actor no longer wanted it. */
  endedAtMs: number;
  /** How long the command lay in its queue; null where that isn't known. */
  queuedMs: number | null;
  /** How long its executor took; null where that isn't known. The rest was the way there and back. */
  workedMs: number | null;
  /** The error's code; null of what succeeded. */
  error: string | null;
};

type Result = Extract<ActorMessage, { type: 'result' }>;

/** Notes that an effect has ended: by its result, or since nobody waits for it any more. Changes the draft. */
export function noteStep(draft: ActorValue, effect: InFlight, endedAtMs: number, result: Result | null): void {
  // Ordered by an earlier version, which kept no time.
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

/** What was noted since the last event; it is told once. Changes the draft. */
export function takeSteps(draft: ActorValue): Step[] {
  const steps = draft.steps ?? [];
  delete draft.steps;
  return steps;
}

import type { WireError } from '@coppice/contracts';
import type { EventObject } from 'xstate';

/** The event that a machine gets when an effect has failed. XState's own type declares `error` as unknown. */
export type EffectFailed = {
  type: `xstate.error.actor.${string}`;
  error: WireError;
  /** The machine's name for the invocation. */
  actorId: string;
  effectId: string;
};

export type EffectDone = { type: `xstate.done.actor.${string}`; output: unknown; actorId: string };

export const isEffectFailed = (event: EventObject): event is EffectFailed =>
  event.type.startsWith('xstate.error.actor.');

/**
 * Narrows an event to the failure of an effect, for guards and actions of `onError`.
 * @throws Error for any other event, since the machine then uses the guard or action outside `onError`
 */
export function failureOf(event: EventObject): EffectFailed {
  if (isEffectFailed(event)) return event;
  throw new Error(`${event.type} reports no failure of an effect`);
}

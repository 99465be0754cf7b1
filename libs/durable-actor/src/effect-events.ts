import type { WireError } from '@coppice/contracts';
import type { EventObject } from 'xstate';

/** The event that a machine gets when an effect has failed. XState's own type for it declares the error as unknown. */
export type EffectFailed = {
  type: `xstate.error.actor.${string}`;
  error: WireError;
  /** The machine's name for the invocation. */
  actorId: string;
  effectId: string;
};

/** The event that a machine gets when an effect is done. */
export type EffectDone = { type: `xstate.done.actor.${string}`; output: unknown; actorId: string };

export const isEffectFailed = (event: EventObject): event is EffectFailed =>
  event.type.startsWith('xstate.error.actor.');

/**
 * The failure that an event reports.
 * @throws Error for any other event, since the machine then uses a guard or action for `onError` in another place, which is a defect
 */
export function failureOf(event: EventObject): EffectFailed {
  if (isEffectFailed(event)) return event;
  throw new Error(`${event.type} reports no failure of an effect`);
}

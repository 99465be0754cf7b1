import { inDeliverySpan } from '@coppice/bus';
import type { Delivery } from '@coppice/bus';
import { subjects } from '@coppice/contracts';
import {
  contextFrom,
  currentTraceparent,
  extractTrace,
  isSameTrace,
  linkFrom,
  messagingOperations,
} from '@coppice/telemetry';
import type { Context } from '@coppice/telemetry';
import type { ActorDefinition } from './definition.ts';
import type { Incoming } from './receive.ts';
import type { ActorValue } from './value.ts';

/**
 * The span of handling one message, so that what an actor lives through is one trace, whoever takes part and dies meanwhile:
 * 1. The first delivery of a message continues its sender's trace.
 * 2. A redelivery, a timer and a wake-up are children of the actor's stored context, with a link to what they repeat; so is what has no sender.
 * 3. Where the sender is in another trace, an event stays in it: a person who comes later has their own, and an actor that many runs use (landing,
 *    setup) works in that of each. A result belongs to the trace of the actor that ordered it, with a link to the other.
 */
export function inActorSpan<Result>(
  { definition, delivery, incoming }: { definition: ActorDefinition; delivery: Delivery; incoming: Incoming },
  value: ActorValue | null,
  fn: () => Promise<Result>,
): Promise<Result> {
  const { type } = incoming.message;
  const place = {
    ...placeOf(delivery, type, value?.traceparent ?? null),
    template: subjects.actor(definition.kind, '*'),
    operation: `${messagingOperations.process} ${type}`,
  };
  return inDeliverySpan(delivery, place, fn);
}

function placeOf(
  { headers, deliveryCount }: Delivery,
  type: Incoming['message']['type'],
  stored: string | null,
): { parent: Context; links: ReturnType<typeof linkFrom> } {
  const sender = linkFrom(headers['traceparent']);
  if (stored === null) return { parent: extractTrace(headers), links: [] };
  const repeats = deliveryCount > 1 || type === 'timer' || type === 'wake';
  const hasSender = sender.length > 0;
  const isOwnTrace = isSameTrace(headers['traceparent'], stored);
  const own = !hasSender || (isOwnTrace ? repeats : type === 'result');
  return own ? { parent: contextFrom(stored), links: sender } : { parent: extractTrace(headers), links: [] };
}

/** The context that an actor keeps: that of its birth. */
export const contextToKeep = (value: ActorValue): string | null => value.traceparent ?? currentTraceparent();

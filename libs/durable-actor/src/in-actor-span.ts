import { inDeliverySpan } from '@coppice/bus';
import type { Delivery } from '@coppice/bus';
import { subjects } from '@coppice/contracts';
import { extractTrace, isSameTrace, linkFrom, messagingOperations } from '@coppice/telemetry';
import type { Context, StoredContext } from '@coppice/telemetry';
import type { ActorDefinition } from './definition.ts';
import type { Incoming } from './receive.ts';
import { contextOf } from './spans.ts';
import type { ActorValue } from './value.ts';

/**
 * Runs the handling of one message in a span. All work of an actor is in one trace, even if several processes take part in it or die. The depth of the trace
 * doesn't grow with the actor's history:
 * 1. A `create` or an event is a child of its sender's span.
 * 2. Everything else is a child of the actor's own context (spans.ts), with a link to its origin: a result, a timer, a wake-up, a message without a sender, and
 *    a redelivery.
 * 3. An event from another trace stays in the sender's trace. Examples: a user acts later, in a trace of their own; or many runs send to one actor (landing,
 *    setup).
 */
export function inActorSpan<Result>(
  { definition, delivery, incoming }: { definition: ActorDefinition; delivery: Delivery; incoming: Incoming },
  value: ActorValue | null,
  fn: () => Promise<Result>,
): Promise<Result> {
  const { type } = incoming.message;
  const place = {
    ...placeOf(delivery, type, value === null ? null : contextOf(value)),
    template: subjects.actor(definition.kind, '*'),
    operation: `${messagingOperations.process} ${type}`,
  };
  return inDeliverySpan(delivery, place, fn);
}

function placeOf(
  { headers, deliveryCount }: Delivery,
  type: Incoming['message']['type'],
  own: StoredContext | null,
): { parent: Context; links: ReturnType<typeof linkFrom> } {
  const { traceparent } = headers;
  const sender = linkFrom(traceparent);
  const isEventOrCreate = type === 'event' || type === 'create';
  const isSenders =
    isEventOrCreate && sender.length > 0 && (deliveryCount === 1 || !isSameTrace(traceparent, own?.traceparent));
  if (own === null || isSenders) return { parent: extractTrace(headers), links: [] };
  return { parent: extractTrace(own), links: sender };
}

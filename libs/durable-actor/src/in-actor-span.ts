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
 * Runs the handling of one message in a span. Except for rule 3, all work of an actor is in one trace, even if several
 * processes do parts of the work. The depth of the trace doesn't grow with the actor's history:
 * 1. At the first delivery of a `create` or an event, the span is a child of the sender's span.
 * 2. Every other span is a child of the actor's own context (see spans.ts) and links to the sender's span. This applies
 *    to results, timers, wake-ups, messages without a sender, and redeliveries.
 * 3. The span of an event from another trace stays in the sender's trace, even on redelivery. For example, many runs
 *    send events to one landing actor.
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

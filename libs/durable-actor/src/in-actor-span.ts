import type { Delivery } from '@coppice/bus';
import {
  SpanKind,
  attributes,
  contextFrom,
  currentTraceparent,
  extractTrace,
  linkFrom,
  messagingSystemNats,
  withSpan,
} from '@coppice/telemetry';
import type { ActorDefinition } from './definition.ts';
import type { Incoming } from './receive.ts';
import type { ActorValue } from './value.ts';

/**
 * The span of handling one message. The first delivery of a message continues its sender's trace; a redelivery, a timer and a wake-up are children
 * of the actor's stored context, with a link to what they repeat.
 */
export function inActorSpan<Result>(
  { definition, delivery, incoming }: { definition: ActorDefinition; delivery: Delivery; incoming: Incoming },
  value: ActorValue | null,
  fn: () => Promise<Result>,
): Promise<Result> {
  const sender = delivery.headers['traceparent'];
  const { type } = incoming.message;
  const repeats = delivery.deliveryCount > 1 || type === 'timer' || type === 'wake';
  const stored = value?.traceparent ?? null;
  const settings = {
    kind: SpanKind.CONSUMER,
    parent: repeats && stored !== null ? contextFrom(stored) : extractTrace(delivery.headers),
    links: repeats && stored !== null ? linkFrom(sender) : [],
    attributes: {
      [attributes.messagingSystem]: messagingSystemNats,
      [attributes.messagingOperationType]: 'process',
      [attributes.messagingDestinationTemplate]: `coppice.actor.${definition.kind}.*`,
      [attributes.messagingDestinationName]: delivery.subject,
      [attributes.coppiceDeliveryCount]: delivery.deliveryCount,
    },
  };
  return withSpan(`process ${type} coppice.actor.${definition.kind}`, settings, fn);
}

/** The context that an actor keeps: that of its birth. */
export const contextToKeep = (value: ActorValue): string | null => value.traceparent ?? currentTraceparent();

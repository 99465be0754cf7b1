import { SpanKind, attributes, extractTrace, messagingSystemNats, recordError, withSpan } from '@coppice/telemetry';
import type { Delivery } from './consume.ts';

/** On a copy that stands for a message which was looked at before: how often that was delivered. */
const earlierDeliveriesHeader = 'coppice-earlier-deliveries';

/** How often this message was delivered, those included of which it is a copy; 1 is the first time. */
export const deliveriesOf = ({ deliveryCount, headers }: Delivery): number =>
  deliveryCount + (Number(headers[earlierDeliveriesHeader]) || 0);

/** What a copy that is looked at later keeps of a message: its sender's trace, and how often it was delivered. */
export function headersOfCopy(delivery: Delivery): Record<string, string> {
  const { traceparent } = delivery.headers;
  const earlier = { [earlierDeliveriesHeader]: String(deliveriesOf(delivery)) };
  return traceparent === undefined ? earlier : { ...earlier, traceparent };
}

/**
 * What the span of handling a delivery tells of it, its wait in the queue among it.
 * @param template the subject with `*` for each token that is an id.
 */
export const deliveryAttributes = (delivery: Delivery, template: string): Record<string, string | number> => ({
  [attributes.messagingSystem]: messagingSystemNats,
  [attributes.messagingOperationType]: 'process',
  [attributes.messagingDestinationTemplate]: template,
  [attributes.messagingDestinationName]: delivery.subject,
  [attributes.coppiceDeliveryCount]: deliveriesOf(delivery),
  [attributes.coppiceQueueWaitMs]: Math.max(0, Date.now() - delivery.publishedAt.getTime()),
});

/**
 * Handles a delivery in a span of its own, in its sender's trace.
 * @param handler is given what marks the span as failed, for a failure that is told instead of thrown.
 */
export const inDeliverySpan = <Result>(
  delivery: Delivery,
  template: string,
  handler: (failed: (error: unknown) => void) => Promise<Result>,
): Promise<Result> =>
  withSpan(
    `process ${template}`,
    {
      kind: SpanKind.CONSUMER,
      parent: extractTrace(delivery.headers),
      attributes: deliveryAttributes(delivery, template),
    },
    (span) => handler((error) => recordError(span, error)),
  );

import {
  SpanKind,
  attributes,
  errorType,
  extractTrace,
  messagingOperations,
  messagingSystemNats,
  recordError,
  recordValue,
  withSpan,
} from '@coppice/telemetry';
import type { Context, SpanSettings } from '@coppice/telemetry';
import type { Delivery } from './consume.ts';

/** Header of the copy of a postponed message. Its value is the number of deliveries before the copy. */
const earlierDeliveriesHeader = 'coppice-earlier-deliveries';

/**
 * Returns the number of deliveries so far, starting with 1. For a copy of a postponed message, this includes the
 * original's deliveries.
 */
export const deliveriesOf = ({ deliveryCount, headers }: Delivery): number =>
  deliveryCount + (Number(headers[earlierDeliveriesHeader]) || 0);

/** Returns the headers for a copy that is delivered later. */
export function headersOfCopy(delivery: Delivery): Record<string, string> {
  const { traceparent } = delivery.headers;
  const earlier = { [earlierDeliveriesHeader]: String(deliveriesOf(delivery)) };
  return traceparent === undefined ? earlier : { ...earlier, traceparent };
}

/** Returns the time since the message was published. Never below 0, although the clocks of two hosts may differ. */
export const queueWaitMs = ({ publishedAt }: Delivery): number => Math.max(0, Date.now() - publishedAt.getTime());

export type DeliveryPlace = {
  /** The subject with `*` in place of each id. */
  template: string;
  /** Name of the operation, if the service has several, such as `process create`. Default: `process`. */
  operation?: string;
  /** Default: the sender's trace context. */
  parent?: Context;
  links?: SpanSettings['links'];
};

/**
 * Handles a delivery in its own span. Records the time in the queue and the handling time.
 * @param handler gets a function that marks the span as failed, for failures that the handler returns instead of
 * throwing
 */
export async function inDeliverySpan<Result>(
  delivery: Delivery,
  {
    template,
    operation = messagingOperations.process,
    parent = extractTrace(delivery.headers),
    links = [],
  }: DeliveryPlace,
  handler: (failed: (error: unknown) => void) => Promise<Result>,
): Promise<Result> {
  const waitMs = queueWaitMs(delivery);
  const labels = {
    [attributes.messagingSystemName]: messagingSystemNats,
    [attributes.messagingOperationName]: operation,
    [attributes.messagingDestinationTemplate]: template,
  };
  recordValue('coppice.queue.wait.duration', waitMs / 1_000, { [attributes.messagingDestinationTemplate]: template });
  const spanAttributes = {
    ...labels,
    [attributes.messagingOperationType]: 'process',
    [attributes.messagingDestinationName]: delivery.subject,
    [attributes.messagingMessageBodySize]: delivery.data.length,
    [attributes.coppiceDeliveryCount]: deliveriesOf(delivery),
    [attributes.coppiceQueueWaitMs]: waitMs,
  };
  const startedAtMs = performance.now();
  let failure: { [attributes.errorType]?: string } = {};
  const settings = { kind: SpanKind.CONSUMER, parent, links, attributes: spanAttributes };
  try {
    return await withSpan(`${operation} ${template}`, settings, (span) =>
      handler((error) => {
        failure = { [attributes.errorType]: errorType(error) };
        recordError(span, error);
      }),
    );
  } catch (error) {
    failure = { [attributes.errorType]: errorType(error) };
    throw error;
  } finally {
    recordValue('messaging.process.duration', (performance.now() - startedAtMs) / 1_000, { ...labels, ...failure });
  }
}

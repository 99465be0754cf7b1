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

/** How long a message lay in its queue until now; not below 0, where the clocks differ. */
export const queueWaitMs = ({ publishedAt }: Delivery): number => Math.max(0, Date.now() - publishedAt.getTime());

/** Where the span of a delivery belongs. */
export type DeliveryPlace = {
  /** The subject with `*` for each token that is an id. */
  template: string;
  /** What is done, where there is more than one thing: `process create`. Default `process`. */
  operation?: string;
  /** Default: the sender's. */
  parent?: Context;
  links?: SpanSettings['links'];
};

/**
 * Handles a delivery in a span of its own, by default in its sender's trace, and measures its wait in the queue and its handling.
 * @param handler is given what marks it as failed, for a failure that is told instead of thrown.
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

import { attributes, messagingSystemNats } from '@coppice/telemetry';
import type { Delivery } from './consume.ts';

/**
 * What the span of handling a delivery tells of it, its wait in the queue among it.
 * @param template the subject with `*` for each token that is an id.
 */
export const deliveryAttributes = (delivery: Delivery, template: string): Record<string, string | number> => ({
  [attributes.messagingSystem]: messagingSystemNats,
  [attributes.messagingOperationType]: 'process',
  [attributes.messagingDestinationTemplate]: template,
  [attributes.messagingDestinationName]: delivery.subject,
  [attributes.coppiceDeliveryCount]: delivery.deliveryCount,
  [attributes.coppiceQueueWaitMs]: Math.max(0, Date.now() - delivery.publishedAt.getTime()),
});

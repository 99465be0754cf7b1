import {
  SpanKind,
  attributes,
  currentTraceparent,
  extractTrace,
  linkFrom,
  messagingOperations,
  messagingSystemNats,
  withSpan,
} from '@coppice/telemetry';
import type { StoredContext } from '@coppice/telemetry';

/**
 * Publishes a message in its own span, which becomes the parent of the receiver's span. The time between the two spans
 * is the time in the queue. Used for messages that start work, such as commands. A result is published in the span of
 * the work that produced it. The receiver's span then links to the span of the work.
 * @param template the subject with `*` in place of each id
 * @param parent parent of the span, which then links to the current context. Default: the current context is the parent
 */
export const inPublishSpan = <Result>(
  {
    template,
    subject,
    bytes,
    parent,
  }: { template: string; subject: string; bytes: number; parent: StoredContext | undefined },
  publish: () => Promise<Result>,
): Promise<Result> =>
  withSpan(
    `${messagingOperations.publish} ${template}`,
    {
      kind: SpanKind.PRODUCER,
      ...(parent === undefined ? {} : { parent: extractTrace(parent), links: linkFrom(currentTraceparent()) }),
      attributes: {
        [attributes.messagingSystemName]: messagingSystemNats,
        [attributes.messagingOperationName]: messagingOperations.publish,
        [attributes.messagingOperationType]: 'send',
        [attributes.messagingDestinationTemplate]: template,
        [attributes.messagingDestinationName]: subject,
        [attributes.messagingMessageBodySize]: bytes,
      },
    },
    publish,
  );

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
 * Publishes in its own span, which becomes the parent of the receiver's span; the time between the two spans is the time in the queue. Used for commands and
 * other messages that start work (such as messages that create or notify an actor). Not used for results: a result is published at the end of its work's span,
 * and the span in which the result is handled links to that span.
 * @param template the subject with `*` for each token that is an id
 * @param parent the span's parent context; the span then links to the current context. If undefined, the current context is the parent
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

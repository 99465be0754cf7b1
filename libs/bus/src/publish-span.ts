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
 * Publishes in a span of its own, of which whoever handles the message makes a child: what lies between the two is the queue. For orders (commands, and what
 * an actor is born or told by), not for results: a result is the end of the span in which its work was done, which its handling is linked to.
 * @param template the subject with `*` for each token that is an id
 * @param parent the context that this belongs to, with a link to what goes on now; undefined for what goes on now
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

import { SpanKind, attributes, messagingOperations, messagingSystemNats, withSpan } from '@coppice/telemetry';

/**
 * Publishes in a span of its own, of which whoever handles the message makes a child: what lies between the two is the queue. For orders (commands, and what
 * an actor is born or told by), not for results: a result is the end of the span in which its work was done, and its handling a child of that.
 * @param template the subject with `*` for each token that is an id
 */
export const inPublishSpan = <Result>(
  { template, subject, bytes }: { template: string; subject: string; bytes: number },
  publish: () => Promise<Result>,
): Promise<Result> =>
  withSpan(
    `${messagingOperations.publish} ${template}`,
    {
      kind: SpanKind.PRODUCER,
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

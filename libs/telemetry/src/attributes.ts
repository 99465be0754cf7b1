/**
 * Names of span attributes, in one place: the messaging and GenAI conventions are still in development, so a rename happens here alone.
 * A test holds them against the constants of @opentelemetry/semantic-conventions, which isn't loaded at run time.
 */
export const attributes = {
  messagingSystem: 'messaging.system',
  messagingOperationName: 'messaging.operation.name',
  messagingOperationType: 'messaging.operation.type',
  messagingDestinationName: 'messaging.destination.name',
  messagingDestinationTemplate: 'messaging.destination.template',
  messagingConsumerGroupName: 'messaging.consumer.group.name',
  messagingMessageId: 'messaging.message.id',
  messagingMessageBodySize: 'messaging.message.body.size',

  genAiOperationName: 'gen_ai.operation.name',
  genAiProviderName: 'gen_ai.provider.name',
  genAiRequestModel: 'gen_ai.request.model',
  genAiResponseModel: 'gen_ai.response.model',
  genAiResponseFinishReasons: 'gen_ai.response.finish_reasons',
  /** Cached tokens are included. */
  genAiUsageInputTokens: 'gen_ai.usage.input_tokens',
  genAiUsageOutputTokens: 'gen_ai.usage.output_tokens',
  genAiUsageCacheReadInputTokens: 'gen_ai.usage.cache_read.input_tokens',

  serviceName: 'service.name',
  serviceInstanceId: 'service.instance.id',
  serviceVersion: 'service.version',
  errorType: 'error.type',

  coppiceTenant: 'coppice.tenant',
  coppiceRunId: 'coppice.run.id',
  coppiceTaskId: 'coppice.task.id',
  coppiceEffectId: 'coppice.effect.id',
  /** How often this message was delivered; 1 is the first time. */
  coppiceDeliveryCount: 'coppice.delivery.count',
  /** How long a message lay in its queue before this delivery, in milliseconds; both clocks count. */
  coppiceQueueWaitMs: 'coppice.queue.wait_ms',
  /** Whether a claim was taken over from a lost owner. */
  coppiceTakenOver: 'coppice.claim.taken_over',
} as const;

/** The value of `messaging.system`. */
export const messagingSystemNats = 'nats';

/** Values of `gen_ai.operation.name` in use. */
export const genAiOperations = { chat: 'chat' } as const;

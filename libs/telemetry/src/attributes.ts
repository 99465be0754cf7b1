/**
 * Names of span attributes, in one place: the messaging and GenAI conventions are still in development, so a rename happens here alone.
 * A test holds them against the constants of @opentelemetry/semantic-conventions, which isn't loaded at run time.
 */
export const attributes = {
  messagingSystemName: 'messaging.system.name',
  messagingOperationName: 'messaging.operation.name',
  messagingOperationType: 'messaging.operation.type',
  messagingDestinationName: 'messaging.destination.name',
  messagingDestinationTemplate: 'messaging.destination.template',
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
  genAiUsageCacheCreationInputTokens: 'gen_ai.usage.cache_creation.input_tokens',
  /** Those of the output tokens that the model thought with. */
  genAiUsageReasoningOutputTokens: 'gen_ai.usage.reasoning.output_tokens',
  genAiTokenType: 'gen_ai.token.type',

  httpRequestMethod: 'http.request.method',
  /** The door that was asked; never a path as it came. */
  httpRoute: 'http.route',

  /** The sandbox's id, which is the same on every repeat; the engine's own id is nobody else's business. */
  containerName: 'container.name',
  containerImageName: 'container.image.name',
  containerRuntimeName: 'container.runtime.name',
  /** Of the command that ran in the sandbox. */
  processExitCode: 'process.exit.code',

  /** Only of a repository with an address; without user or password. */
  vcsRepositoryUrlFull: 'vcs.repository.url.full',
  vcsRepositoryName: 'vcs.repository.name',
  /** The branch on which the task lands. */
  vcsRefBaseName: 'vcs.ref.base.name',
  vcsRefBaseRevision: 'vcs.ref.base.revision',
  /** The task's own branch, or what it has come to. */
  vcsRefHeadName: 'vcs.ref.head.name',
  vcsRefHeadRevision: 'vcs.ref.head.revision',

  filesystemState: 'system.filesystem.state',

  serviceName: 'service.name',
  serviceInstanceId: 'service.instance.id',
  serviceVersion: 'service.version',
  errorType: 'error.type',

  coppiceTenant: 'coppice.tenant',
  coppiceRunId: 'coppice.run.id',
  coppiceTaskId: 'coppice.task.id',
  /** As the plan names it. */
  coppiceTaskName: 'coppice.task.name',
  /** On the span of a run or task what it ended as, on that of a task's state which it is. */
  coppiceState: 'coppice.state',
  coppiceEffectId: 'coppice.effect.id',
  /** How often this message was delivered; 1 is the first time. */
  coppiceDeliveryCount: 'coppice.delivery.count',
  /** How long a message lay in its queue before this delivery, in milliseconds; both clocks count. */
  coppiceQueueWaitMs: 'coppice.queue.wait_ms',
  /** Which attempt of one model turn this is, from 1; over all providers that are asked for it. */
  coppiceModelAttempt: 'coppice.model.attempt',
  /**
   * From the second attempt on: the error code for which the one before it was given up. Where `gen_ai.provider.name` differs from that one's, this is why
   * another provider was asked.
   */
  coppiceModelAttemptReason: 'coppice.model.attempt.reason',
  /** How long the attempt waited for a place at its provider, in milliseconds. */
  coppiceModelQueueWaitMs: 'coppice.model.queue.wait_ms',
  /** True on the span of who asked, where the answer is an earlier one and no provider was asked. */
  coppiceModelCached: 'coppice.model.cached',
  /** US dollars; only where the price is known. */
  coppiceModelCostUsd: 'coppice.model.cost_usd',
  /** Whether a claim was taken over from a lost owner. */
  coppiceTakenOver: 'coppice.claim.taken_over',
} as const;

/** The value of `messaging.system.name`. */
export const messagingSystemNats = 'nats';

/** Values of `messaging.operation.name` in use; a span's name begins with it. */
export const messagingOperations = { call: 'call', serve: 'serve', publish: 'publish', process: 'process' } as const;

/** Values of `gen_ai.operation.name` in use. */
export const genAiOperations = { chat: 'chat' } as const;

/**
 * Names of span attributes. All names are in this file, since the messaging and GenAI conventions are still in development and may rename attributes.
 * A test compares the names with the constants of @opentelemetry/semantic-conventions, which isn't loaded at run time.
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
  /** Number of input tokens, including cached tokens. */
  genAiUsageInputTokens: 'gen_ai.usage.input_tokens',
  genAiUsageOutputTokens: 'gen_ai.usage.output_tokens',
  genAiUsageCacheReadInputTokens: 'gen_ai.usage.cache_read.input_tokens',
  genAiUsageCacheCreationInputTokens: 'gen_ai.usage.cache_creation.input_tokens',
  /** Number of tokens for thinking. They also count as output tokens. */
  genAiUsageReasoningOutputTokens: 'gen_ai.usage.reasoning.output_tokens',
  genAiTokenType: 'gen_ai.token.type',

  httpRequestMethod: 'http.request.method',
  /** Route of the endpoint. Never the path that a request contains. */
  httpRoute: 'http.route',

  /** The sandbox's id. It stays the same when a command is repeated. It is not the id that the engine gave to the container. */
  containerName: 'container.name',
  containerImageName: 'container.image.name',
  containerRuntimeName: 'container.runtime.name',
  /** Exit code of the command that ran in the sandbox. */
  processExitCode: 'process.exit.code',

  /** Address of a remote repository, without user and password. */
  vcsRepositoryUrlFull: 'vcs.repository.url.full',
  vcsRepositoryName: 'vcs.repository.name',
  /** The branch on which the task lands. */
  vcsRefBaseName: 'vcs.ref.base.name',
  vcsRefBaseRevision: 'vcs.ref.base.revision',
  /** The task's own branch; its commit is in `vcsRefHeadRevision`. */
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
  /** Name of the task in the plan. */
  coppiceTaskName: 'coppice.task.name',
  /** On the span of a run or task: the final state. On the span of a task's state: that state. */
  coppiceState: 'coppice.state',
  coppiceEffectId: 'coppice.effect.id',
  /** Number of the message's deliveries so far, including this delivery. */
  coppiceDeliveryCount: 'coppice.delivery.count',
  /** Milliseconds that the message spent in its queue before this delivery. It may be inexact, since it is computed from the clocks of two hosts. */
  coppiceQueueWaitMs: 'coppice.queue.wait_ms',
  /** Number of the model call's attempts so far, at all providers, including this attempt. */
  coppiceModelAttempt: 'coppice.model.attempt',
  /**
   * Error code of the previous attempt. Not set on the first attempt. If `gen_ai.provider.name` differs between the two attempts, this error is the reason for
   * the change of provider.
   */
  coppiceModelAttemptReason: 'coppice.model.attempt.reason',
  /** Milliseconds that the attempt waited for a free slot at its provider. */
  coppiceModelQueueWaitMs: 'coppice.model.queue.wait_ms',
  /** True on the caller's span if the answer came from the cache, without a request to a provider. */
  coppiceModelCached: 'coppice.model.cached',
  /** Cost in US dollars. Set only if the price is known. */
  coppiceModelCostUsd: 'coppice.model.cost_usd',
  /** True if this process took over the message's claim from a lost process. */
  coppiceTakenOver: 'coppice.claim.taken_over',
} as const;

/** The value of `messaging.system.name`. */
export const messagingSystemNats = 'nats';

/** The values of `messaging.operation.name` that Coppice uses. The name of a messaging span starts with one of these values. */
export const messagingOperations = { call: 'call', serve: 'serve', publish: 'publish', process: 'process' } as const;

/** The values of `gen_ai.operation.name` that Coppice uses. */
export const genAiOperations = { chat: 'chat' } as const;

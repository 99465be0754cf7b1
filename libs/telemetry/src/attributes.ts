/**
 * Names of span attributes. All names are in one file, since the messaging and GenAI conventions may still rename
 * attributes. A test compares the names with @opentelemetry/semantic-conventions, which isn't loaded at run time.
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
  /** Number of output tokens for thinking. */
  genAiUsageReasoningOutputTokens: 'gen_ai.usage.reasoning.output_tokens',
  genAiTokenType: 'gen_ai.token.type',

  httpRequestMethod: 'http.request.method',
  /** Route of the endpoint, never the path in a request. */
  httpRoute: 'http.route',

  /** The sandbox's id, not the engine's id of the container. A repeated command has the same sandbox id. */
  containerName: 'container.name',
  containerImageName: 'container.image.name',
  containerRuntimeName: 'container.runtime.name',
  /** Exit code of the command in the sandbox. */
  processExitCode: 'process.exit.code',

  /** Address of a remote repository, without user and password. */
  vcsRepositoryUrlFull: 'vcs.repository.url.full',
  vcsRepositoryName: 'vcs.repository.name',
  /** Branch on which the task lands. */
  vcsRefBaseName: 'vcs.ref.base.name',
  vcsRefBaseRevision: 'vcs.ref.base.revision',
  /** The task's own branch. */
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
  /** Name of the task in its run. */
  coppiceTaskName: 'coppice.task.name',
  /** Final state on the span of a run or task. On the span of a state, that state. */
  coppiceState: 'coppice.state',
  coppiceEffectId: 'coppice.effect.id',
  /** Number of the message's deliveries, including this one. */
  coppiceDeliveryCount: 'coppice.delivery.count',
  /**
   * Milliseconds that the message spent in its queue before this delivery. Inexact, since it is computed from the
   * clocks of two hosts.
   */
  coppiceQueueWaitMs: 'coppice.queue.wait_ms',
  /** Number of the model call's attempts at all providers, including this one. */
  coppiceModelAttempt: 'coppice.model.attempt',
  /** Error code of the previous attempt, which is the reason for this attempt. Not set on the first attempt. */
  coppiceModelAttemptReason: 'coppice.model.attempt.reason',
  /** Milliseconds that the attempt waited for a free slot at its provider. */
  coppiceModelQueueWaitMs: 'coppice.model.queue.wait_ms',
  /** True on the caller's span if the answer came from the gateway's cache. */
  coppiceModelCached: 'coppice.model.cached',
  /** Cost in US dollars. Not set if the price is unknown. */
  coppiceModelCostUsd: 'coppice.model.cost_usd',
  /** True if this process took over the claim from a lost process. */
  coppiceTakenOver: 'coppice.claim.taken_over',
} as const;

/** Value of `messaging.system.name`. */
export const messagingSystemNats = 'nats';

/** Values of `messaging.operation.name`. The name of a messaging span starts with one of them. */
export const messagingOperations = { call: 'call', serve: 'serve', publish: 'publish', process: 'process' } as const;

/** Values of `gen_ai.operation.name`. */
export const genAiOperations = { chat: 'chat' } as const;

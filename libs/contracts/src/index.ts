export { consumerRequestSchema } from './consumer-request.ts';
export type { ConsumerRequest } from './consumer-request.ts';
export { CoppiceError, errorCodes, toWireError, wireErrorSchema } from './errors.ts';
export type { ErrorCode, FieldIssue, WireError } from './errors.ts';
export {
  actorIdSchema,
  effectIdSchema,
  runIdOf,
  runIdSchema,
  shortHash,
  shownModel,
  slug,
  taskIdOf,
  taskIdSchema,
  tenantSchema,
  tokenSchema,
} from './identifiers.ts';
export {
  artifactNameSchema,
  artifactNames,
  artifactPartBytesMax,
  bucketOfArtifact,
  tenantOfArtifact,
} from './artifacts.ts';
export { deadLetterSchema, deadLettersKept } from './dead-letter.ts';
export type { DeadLetter } from './dead-letter.ts';
export { jsonSchemaOf, jsonSchemasOf } from './json-schema.ts';
export type { JsonSchema } from './json-schema.ts';
export { suggestionFor, nearestFirst } from './near.ts';
export { isVendorVariable, keyVariablesIn, variablesOf, vendors } from './vendors.ts';
export type { Vendor, VendorRegistry } from './vendors.ts';
export { nodeServiceNames, serviceNames } from './services.ts';
export type { NodeServiceName, ServiceName } from './services.ts';
export { strictly } from './strict.ts';
export { messageHeaders } from './message-headers.ts';
export { invalidUtf8At } from './utf8.ts';
export { mergeConflictSchema } from './merge-conflict.ts';
export type { MergeConflict } from './merge-conflict.ts';
export { ownDraftPattern, ownDraftPrefix } from './own-drafts.ts';
export {
  actorConsumer,
  actorKinds,
  actorOf,
  anyPool,
  buckets,
  commandConsumer,
  commandTemplateOf,
  intakeConsumer,
  intakeLaterConsumer,
  landingPool,
  noRun,
  nodeOfPool,
  runItself,
  streams,
  subjectFamilies,
  subjects,
  tenantFamilies,
  tenantOf,
} from './subjects.ts';
export { durationMs, durationSchema } from './duration.ts';
export { agentKindNames, agentSchema } from './agents/registry.ts';
export type { Agent, AgentOf } from './agents/registry.ts';
export { repositoryPathSchema } from './repository-path.ts';
export {
  branchSchema,
  mergeMethodSchema,
  mergeModeSchema,
  modelLimitsSchema,
  networkSchema,
  runFileSchema,
  runLimits,
  runRequestSchema,
  taskDefaultsSchema,
  taskRequestSchema,
  unprotectedPartSchema,
} from './run-request.ts';
export type {
  ModelLimits,
  Network,
  RunFile,
  RunRequest,
  TaskDefaults,
  TaskRequest,
  TaskSpecification,
  UnprotectedPart,
} from './run-request.ts';
export {
  modelLimitsViewSchema,
  runStateSchema,
  runSummarySchema,
  runViewSchema,
  taskSummarySchema,
  taskViewSchema,
  usageSchema,
} from './views.ts';
export type { RunState, RunSummary, RunView, TaskSummary, TaskView, Usage } from './views.ts';
export {
  isTaskEnd,
  kindOfTaskState,
  taskEnds,
  taskStateEntries,
  taskStateRegistry,
  taskStateRegistryOf,
  taskStates,
  taskStateSchema,
  taskSuccesses,
} from './task-states.ts';
export type {
  TaskEnd,
  TaskOutcome,
  TaskState,
  TaskStateEntry,
  TaskStateKind,
  TaskStateOf,
  TaskStateRegistry,
} from './task-states.ts';
export { bundleBytesMax } from './task-work.ts';
export type { WorkKind } from './task-work.ts';
export { api } from './api.ts';
export type { Api, Method } from './api.ts';
export { chatApi, chatLimits, chatMessageSchema, chatServiceName } from './chat.ts';
export type { ChatAnswer, ChatMessage, ChatRequest } from './chat.ts';
export { actorMessageSchema, outcomeSchema, replyToSchema } from './actor-messages.ts';
export type { ActorMessage, Outcome, ReplyTo } from './actor-messages.ts';
export {
  commandAgeMsMax,
  commandMessageSchema,
  inlineTextBytesMax,
  operation,
  ownerSchema,
  textReferenceSchema,
} from './operations/operation.ts';
export type {
  CommandMessage,
  LostOwnerPolicy,
  Operation,
  Owner,
  Repeat,
  TextReference,
} from './operations/operation.ts';
export { commitMessageSchema, mountSchema, worktreeCalls, worktreeOperations } from './operations/worktree.ts';
export type { CommitMessage, Mount } from './operations/worktree.ts';
export {
  commandResultSchema,
  commandSchema,
  logChunkSchema,
  outputKept,
  sandboxLimitsSchema,
  sandboxOperations,
  sandboxSpecificationSchema,
  toolResultSchema,
} from './operations/sandbox.ts';
export type { CommandResult, LogChunk, SandboxLimits, SandboxSpecification, ToolResult } from './operations/sandbox.ts';
export {
  contentPartSchema,
  finishReasonSchema,
  imageSchema,
  modelMessageSchema,
  modelSettingsSchema,
  modelUsageSchema,
  signatureSchema,
  thinkingSchema,
  toolCallSchema,
  toolDefinitionSchema,
} from './model-messages.ts';
export type {
  ContentPart,
  ModelMessage,
  ModelSettings,
  ModelUsage,
  Signature,
  ToolCall,
  ToolDefinition,
} from './model-messages.ts';
export { modelOperations, transcriptEntrySchema, turnInputSchema, turnOutputSchema } from './operations/model.ts';
export type { TranscriptEntry, TurnOutput } from './operations/model.ts';
export { runOperations } from './operations/run.ts';
export { coppiceEventSchema, events, taskStepSchema } from './events.ts';
export type { CoppiceEvent, EventType, TaskStep } from './events.ts';
export { agentToolSchemas, sandboxToolSchemas, toolDefinitions, toolDescriptions, toolLimits } from './tools.ts';
export type { AgentToolName, SandboxToolName } from './tools.ts';
export { gatewayCalls, modelProviderSchema, tokenGrantSchema, tokenTtlMsMax } from './gateway-calls.ts';
export type { ModelProvider, TokenGrant } from './gateway-calls.ts';
export { orchestratorCalls } from './orchestrator-calls.ts';
export { gatewayHealthMessageSchema } from './gateway-health.ts';
export type { GatewayHealthNews } from './gateway-health.ts';

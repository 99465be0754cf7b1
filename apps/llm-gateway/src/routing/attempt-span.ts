import type { CoppiceError, Owner } from '@coppice/contracts';
import {
  BoundedValues,
  SpanKind,
  addToCounter,
  attributes,
  errorType,
  genAiOperations,
  metricsAreOn,
  recordError,
  recordValue,
  tracer,
} from '@coppice/telemetry';
import type { Span } from '@coppice/telemetry';
import type { AttemptOutcome } from './attempt.ts';

export type AttemptAbout = {
  provider: string;
  /** Model name as the provider knows it. */
  model: string;
  owner: Owner;
  effectId: string;
  /** From 1. */
  attempt: number;
  /** Error that ended the previous attempt; null for the first. */
  before: CoppiceError | null;
  queuedMs: number;
};

/**
 * Maximum number of model labels, since users who submit runs choose model names. Only names from the configuration and
 * names under which a provider has answered get their own label.
 */
const modelLabelsMax = 100;
const models = new BoundedValues(modelLabelsMax);

/**
 * Reserves labels for models that metrics may name before their first answer. Each name has the form `provider/model`.
 */
export function reserveModelLabels(names: readonly string[]): void {
  for (const name of names) models.admit(name.slice(name.indexOf('/') + 1));
}

export const modelLabel = (model: string): string => models.known(model);

/**
 * Starts the span of one request to a provider, with the attributes of OpenTelemetry's GenAI conventions. The caller
 * must call `end`, which also records the metrics.
 */
export function startAttemptSpan(about: AttemptAbout): { end(outcome: AttemptOutcome): void } {
  const { provider, model, owner, effectId, attempt, before, queuedMs } = about;
  const span = tracer().startSpan(`${genAiOperations.chat} ${model}`, {
    kind: SpanKind.CLIENT,
    attributes: {
      [attributes.genAiOperationName]: genAiOperations.chat,
      [attributes.genAiProviderName]: provider,
      [attributes.genAiRequestModel]: model,
      [attributes.coppiceTenant]: owner.tenant,
      [attributes.coppiceRunId]: owner.runId,
      [attributes.coppiceTaskId]: owner.taskId,
      [attributes.coppiceEffectId]: effectId,
      [attributes.coppiceModelAttempt]: attempt,
      [attributes.coppiceModelQueueWaitMs]: Math.round(queuedMs),
      ...(before === null ? {} : { [attributes.coppiceModelAttemptReason]: errorType(before) }),
    },
  });
  return {
    end: (outcome) => {
      if (metricsAreOn()) measure(about, outcome);
      if (span.isRecording()) describe(span, about, outcome);
      span.end();
    },
  };
}

function describe(span: Span, { model }: AttemptAbout, outcome: AttemptOutcome): void {
  const { inputTokens, outputTokens, cachedInputTokens, cacheWriteInputTokens, reasoningTokens, costUsd } =
    outcome.usage;
  for (const [name, value] of [
    [attributes.genAiUsageInputTokens, inputTokens],
    [attributes.genAiUsageOutputTokens, outputTokens],
    [attributes.genAiUsageCacheReadInputTokens, cachedInputTokens],
    [attributes.genAiUsageCacheCreationInputTokens, cacheWriteInputTokens],
    [attributes.genAiUsageReasoningOutputTokens, reasoningTokens],
    [attributes.coppiceModelCostUsd, costUsd],
  ] as const) {
    if (value !== undefined) span.setAttribute(name, value);
  }
  if (outcome.error !== null) return recordError(span, outcome.error);
  span.setAttribute(attributes.genAiResponseModel, outcome.responseModel ?? model);
  if (outcome.finishReason !== null) span.setAttribute(attributes.genAiResponseFinishReasons, [outcome.finishReason]);
}

function measure({ provider, model, queuedMs }: AttemptAbout, outcome: AttemptOutcome): void {
  const answered = outcome.error === null;
  const request = {
    [attributes.genAiProviderName]: provider,
    [attributes.genAiRequestModel]: answered ? models.admit(model) : modelLabel(model),
  };
  const labels = { [attributes.genAiOperationName]: genAiOperations.chat, ...request };
  const failure = outcome.error === null ? {} : { [attributes.errorType]: errorType(outcome.error) };
  recordValue('coppice.model.queue.wait.duration', queuedMs / 1_000, { [attributes.genAiProviderName]: provider });
  recordValue('gen_ai.client.operation.duration', outcome.latencyMs / 1_000, { ...labels, ...failure });
  const { inputTokens, outputTokens, costUsd } = outcome.usage;
  for (const [type, count] of [
    ['input', inputTokens],
    ['output', outputTokens],
  ] as const) {
    if (count === undefined) continue;
    recordValue('gen_ai.client.token.usage', count, { ...labels, [attributes.genAiTokenType]: type });
  }
  if (costUsd !== undefined) addToCounter('coppice.model.cost', costUsd, request);
}

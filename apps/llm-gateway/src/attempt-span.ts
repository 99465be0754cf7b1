import type { CoppiceError, Owner } from '@coppice/contracts';
import {
  BoundedValues,
  SpanKind,
  addToCounter,
  attributes,
  errorType,
  genAiOperations,
  recordError,
  recordValue,
  withSpan,
} from '@coppice/telemetry';
import type { Span } from '@coppice/telemetry';
import type { Attempt } from './collect.ts';

/** What an attempt of a turn is about. */
export type AttemptAbout = {
  provider: string;
  /** As the provider names it. */
  model: string;
  owner: Owner;
  effectId: string;
  /** From 1. */
  attempt: number;
  /** Why the attempt before this one was given up; null for the first. */
  before: CoppiceError | null;
};

/** Who submits a run chooses its models' names: only those that a provider has answered as get a label of their own. */
const modelLabelsMax = 100;
const models = new BoundedValues(modelLabelsMax);

/** Asks a provider once, in a span by the GenAI conventions, and measures it. */
export function inAttemptSpan(about: AttemptAbout, ask: () => Promise<Attempt>): Promise<Attempt> {
  const { provider, model, owner, effectId, attempt, before } = about;
  const spanAttributes = {
    [attributes.genAiOperationName]: genAiOperations.chat,
    [attributes.genAiProviderName]: provider,
    [attributes.genAiRequestModel]: model,
    [attributes.coppiceTenant]: owner.tenant,
    [attributes.coppiceRunId]: owner.runId,
    [attributes.coppiceTaskId]: owner.taskId,
    [attributes.coppiceEffectId]: effectId,
    [attributes.coppiceModelAttempt]: attempt,
    ...(before === null ? {} : { [attributes.coppiceModelAttemptReason]: errorType(before) }),
  };
  const settings = { kind: SpanKind.CLIENT, attributes: spanAttributes };
  return withSpan(`${genAiOperations.chat} ${model}`, settings, async (span) => {
    const startedAtMs = performance.now();
    const outcome = await ask();
    measure(about, outcome, performance.now() - startedAtMs);
    describe(span, about, outcome);
    return outcome;
  });
}

function describe(span: Span, { model }: AttemptAbout, outcome: Attempt): void {
  const { inputTokens, outputTokens, cachedInputTokens, reasoningTokens, costUsd } = outcome.usage;
  for (const [name, value] of [
    [attributes.genAiUsageInputTokens, inputTokens],
    [attributes.genAiUsageOutputTokens, outputTokens],
    [attributes.genAiUsageCacheReadInputTokens, cachedInputTokens],
    [attributes.genAiUsageReasoningOutputTokens, reasoningTokens],
    [attributes.coppiceModelCostUsd, costUsd],
  ] as const) {
    if (value !== undefined) span.setAttribute(name, value);
  }
  if (outcome.status === 'failed') return recordError(span, outcome.error);
  span.setAttribute(attributes.genAiResponseModel, outcome.responseModel ?? model);
  span.setAttribute(attributes.genAiResponseFinishReasons, [outcome.finishReason]);
}

function measure({ provider, model }: AttemptAbout, outcome: Attempt, durationMs: number): void {
  const answered = outcome.status === 'complete';
  const request = {
    [attributes.genAiProviderName]: provider,
    [attributes.genAiRequestModel]: answered ? models.admit(model) : models.known(model),
  };
  const labels = { [attributes.genAiOperationName]: genAiOperations.chat, ...request };
  const failure = answered ? {} : { [attributes.errorType]: errorType(outcome.error) };
  recordValue('gen_ai.client.operation.duration', durationMs / 1_000, { ...labels, ...failure });
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

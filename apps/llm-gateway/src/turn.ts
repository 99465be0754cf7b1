/**
 * The claimed model turn: the handler of `llm-gateway turn`.
 *
 * Collaborators: the bus's command server, which holds the claim around it; a provider; the transcript; the artifacts.
 *
 * Invariants:
 * 1. The turn's transcript entry is stored, under its effect's id, before the handler returns, and so before the claim is done.
 * 2. A turn that is taken over from a lost process is looked for in the transcript first. Found: that is the answer, and no provider is asked.
 *    Not found: whether it was paid for isn't known, and the actor is told `unknown`.
 * 3. A provider is asked again only after a retryable error before any output, within the limits, and never in another process's name.
 * 4. What the time limit, a cancellation or a stop interrupts ends with that reason, and its upstream call is ended.
 */
import { handle } from '@coppice/bus';
import type { CommandContext, CommandHandler } from '@coppice/bus';
import { CoppiceError, modelOperations } from '@coppice/contracts';
import type { TurnOutput, turnInputSchema } from '@coppice/contracts';
import type { Clock } from '@coppice/service';
import { SpanKind, attributes, createLogger, genAiOperations, recordError, withSpan } from '@coppice/telemetry';
import type { z } from 'zod';
import type { Artifacts } from './artifacts.ts';
import { collect } from './collect.ts';
import type { Attempt } from './collect.ts';
import { gatewayLimits } from './limits.ts';
import type { ModelRequest, Provider } from './provider/port.ts';
import { askPatiently } from './retry.ts';
import type { Asked, RetrySettings } from './retry.ts';
import type { Transcript } from './transcript.ts';

export type TurnInput = z.output<typeof turnInputSchema>;

/** Where a test may end the process, in this order. */
export const turnPoints = ['before-asking', 'answered', 'in-transcript'] as const;
export type TurnPoint = (typeof turnPoints)[number];

export type TurnCollaborators = {
  providers: readonly Provider[];
  transcript: Transcript;
  artifacts: Artifacts;
  clock: Clock;
  retry: RetrySettings;
  /** Told of each point as it is reached, and waited for. */
  onPoint: (point: TurnPoint) => Promise<void>;
};

export const turnHandler = (collaborators: TurnCollaborators): CommandHandler => {
  const turns = new Turns(collaborators);
  return handle(
    modelOperations.turn,
    (input, context) => turns.run(input, context),
    (input, context) => turns.recover(input, context),
  );
};

class Turns {
  readonly #with: TurnCollaborators;
  readonly #log = createLogger('llm-gateway');

  constructor(collaborators: TurnCollaborators) {
    this.#with = collaborators;
  }

  async recover(input: TurnInput, { effectId }: CommandContext): Promise<TurnOutput | null> {
    const entry = await this.#with.transcript.find(input.owner, effectId);
    this.#log.info(
      { effectId, owner: input.owner, finished: entry !== null },
      'a turn was taken over from a lost process',
    );
    return entry?.output ?? null;
  }

  async run(input: TurnInput, context: CommandContext): Promise<TurnOutput> {
    const { provider, model } = this.#resolve(input.model);
    const { effectId } = context;
    const messages = await this.#with.artifacts.read(input.messages);
    const startedAtMs = performance.now();
    const asked = await this.#ask(provider, { model, messages }, input, context);
    const latencyMs = Math.round(performance.now() - startedAtMs);
    if (asked.outcome.status === 'failed') throw withUsage(asked.outcome.error, asked);
    await this.#with.onPoint('answered');

    const { text, finishReason, responseModel } = asked.outcome;
    const { artifacts, transcript, clock } = this.#with;
    const [textReference, request] = await Promise.all([
      artifacts.reference(text, input.owner),
      artifacts.reference(JSON.stringify(input.messages), input.owner),
    ]);
    const output: TurnOutput = {
      turnId: effectId,
      text: textReference,
      finishReason,
      usage: usageOf(asked),
      responseModel: responseModel ?? model,
      latencyMs,
    };
    await transcript.append({
      effectId,
      owner: input.owner,
      model: input.model,
      request,
      output,
      time: clock.now().toISOString(),
    });
    await this.#with.onPoint('in-transcript');
    return output;
  }

  #resolve(name: string): { provider: Provider; model: string } {
    const slash = name.indexOf('/');
    const providerName = slash === -1 ? name : name.slice(0, slash);
    const provider = this.#with.providers.find((known) => known.name === providerName);
    const model = slash === -1 ? '' : name.slice(slash + 1);
    if (provider !== undefined && model !== '') return { provider, model };
    const known = this.#with.providers.map((each) => each.name).join(', ');
    throw new CoppiceError(
      'model-not-found',
      `model ${JSON.stringify(name)}: expected provider/model with one of the providers ${known}`,
    );
  }

  async #ask(provider: Provider, request: ModelRequest, input: TurnInput, context: CommandContext): Promise<Asked> {
    const timeLimitMs = Math.min(input.timeLimitMs, modelOperations.turn.timeLimitMs);
    const timeLimit = new AbortController();
    const timer = setTimeout(() => {
      timeLimit.abort(new CoppiceError('deadline-exceeded', `${input.model} did not answer within ${timeLimitMs} ms`));
    }, timeLimitMs);
    const signal = AbortSignal.any([context.signal, timeLimit.signal]);
    const endsAtMs = Date.now() + timeLimitMs;
    try {
      await this.#with.onPoint('before-asking');
      const asked = await askPatiently(
        (attempt) => this.#attempt(provider, request, input, { effectId: context.effectId, signal, attempt }),
        this.#with.retry,
        { endsAtMs, signal },
      );
      if (asked.outcome.status === 'failed' && signal.aborted) throw withUsage(signal.reason, asked);
      return asked;
    } finally {
      clearTimeout(timer);
    }
  }

  #attempt(
    provider: Provider,
    request: ModelRequest,
    input: TurnInput,
    context: { effectId: string; signal: AbortSignal; attempt: number },
  ): Promise<Attempt> {
    const { owner } = input;
    const { model } = request;
    const { effectId, signal } = context;
    const spanAttributes = {
      [attributes.genAiOperationName]: genAiOperations.chat,
      [attributes.genAiProviderName]: provider.name,
      [attributes.genAiRequestModel]: model,
      [attributes.coppiceTenant]: owner.tenant,
      [attributes.coppiceRunId]: owner.runId,
      [attributes.coppiceTaskId]: owner.taskId,
      [attributes.coppiceEffectId]: effectId,
    };
    return withSpan(
      `${genAiOperations.chat} ${model}`,
      { kind: SpanKind.CLIENT, attributes: spanAttributes },
      async (span) => {
        const stream = provider.stream(request, { signal, effectId, owner });
        const attempt = await collect(stream, {
          provider: provider.name,
          signal,
          textBytesMax: gatewayLimits.textBytesMax,
        });
        const { inputTokens, outputTokens } = attempt.usage;
        if (inputTokens !== undefined) span.setAttribute(attributes.genAiUsageInputTokens, inputTokens);
        if (outputTokens !== undefined) span.setAttribute(attributes.genAiUsageOutputTokens, outputTokens);
        if (attempt.status === 'complete') {
          span.setAttribute(attributes.genAiResponseModel, attempt.responseModel ?? model);
          span.setAttribute(attributes.genAiResponseFinishReasons, [attempt.finishReason]);
          return attempt;
        }
        recordError(span, attempt.error);
        this.#log.warn(
          { err: attempt.error, effectId, owner, model: input.model, attempt: context.attempt },
          'the provider failed',
        );
        return attempt;
      },
    );
  }
}

const usageOf = ({ usage }: Asked): TurnOutput['usage'] => ({
  inputTokens: usage.inputTokens ?? 0,
  outputTokens: usage.outputTokens ?? 0,
  costUsd: usage.costUsd ?? null,
});

/** A failure with what it has cost, for the actor's budget. */
function withUsage(error: unknown, asked: Asked): unknown {
  if (!(error instanceof CoppiceError)) return error;
  const details = { ...error.details, attempts: asked.attempts, usage: usageOf(asked) };
  return new CoppiceError(error.code, error.message, { cause: error, details, retryable: error.retryable });
}

/**
 * The claimed model turn: the handler of `llm-gateway turn`.
 *
 * Collaborators: the bus's command server, which holds the claim around it; a provider; the transcript, and the conversations that are read from it; the artifacts.
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
import type { Owner, ToolCall, TurnOutput, turnInputSchema } from '@coppice/contracts';
import type { Clock } from '@coppice/service';
import { createLogger } from '@coppice/telemetry';
import type { z } from 'zod';
import type { Artifacts } from './artifacts.ts';
import { inAttemptSpan } from './attempt-span.ts';
import { ByteBudget } from './byte-budget.ts';
import { collect } from './collect.ts';
import type { Answer, Attempt } from './collect.ts';
import { answerMessage } from './conversations.ts';
import type { Conversations } from './conversations.ts';
import { gatewayLimits } from './limits.ts';
import { resolveModel } from './models.ts';
import type { ModelRequest, Provider } from './provider/port.ts';
import { askPatiently } from './retry.ts';
import type { Asked, RetrySettings } from './retry.ts';
import type { Transcript } from './transcript.ts';
import { bytesOfAnswer, toUsage, withEstimates, withUsage } from './usage.ts';

/** A request with the size of its texts. */
type Question = { request: ModelRequest; bytes: number };

export type TurnInput = z.output<typeof turnInputSchema>;

/** Where a test may end the process, in this order. */
export const turnPoints = ['before-asking', 'answered', 'in-transcript'] as const;
export type TurnPoint = (typeof turnPoints)[number];

export type TurnCollaborators = {
  providers: readonly Provider[];
  transcript: Transcript;
  conversations: Conversations;
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
    const { provider, model } = resolveModel(this.#with.providers, input.model);
    const { effectId } = context;
    const { conversations, artifacts } = this.#with;
    const before = await conversations.upTo(input.owner, input.continues);
    const budget = new ByteBudget('the prompt', gatewayLimits.promptBytesMax, before.bytes);
    const messages = [...before.messages, ...(await artifacts.read(input.messages, budget))];
    const startedAtMs = performance.now();
    const { tools, settings } = input;
    const question = { request: { model, messages, tools, settings }, bytes: budget.taken };
    const asked = await this.#ask(provider, question, input, context);
    const latencyMs = Math.round(performance.now() - startedAtMs);
    if (asked.outcome.status === 'failed') throw withUsage(asked.outcome.error, asked);
    await this.#with.onPoint('answered');

    const { outcome } = asked;
    const output: TurnOutput = {
      turnId: effectId,
      ...(await this.#byReference(outcome, input.owner)),
      finishReason: outcome.finishReason,
      usage: toUsage(asked.usage),
      responseModel: outcome.responseModel ?? model,
      provider: provider.name,
      ...(outcome.providerFinishReason === null ? {} : { providerFinishReason: outcome.providerFinishReason }),
      ...(outcome.responseId === null ? {} : { responseId: outcome.responseId }),
      latencyMs,
      queuedMs: context.queuedMs,
      attempts: asked.attempts,
    };
    const sequence = await this.#record(input, effectId, output);
    const conversation = {
      messages: [...messages, answerMessage(outcome)],
      bytes: budget.taken + bytesOfAnswer(outcome),
      turns: before.turns + 1,
    };
    conversations.remember(input.owner, { turnId: effectId, sequence, conversation });
    await this.#with.onPoint('in-transcript');
    return output;
  }

  /** The answer's texts, those that are large by reference. */
  async #byReference(answer: Answer, owner: Owner): Promise<Pick<TurnOutput, 'text' | 'toolCalls' | 'thinking'>> {
    const { artifacts } = this.#with;
    const inline = new ByteBudget('the answer', gatewayLimits.inlineBytesMax);
    const text = await artifacts.reference(answer.text, owner, inline);
    const toolCalls: ToolCall[] = [];
    for (const call of answer.toolCalls) {
      toolCalls.push({ ...call, arguments: await artifacts.reference(call.arguments, owner, inline) });
    }
    const thinking: NonNullable<TurnOutput['thinking']> = [];
    for (const thought of answer.thinking) {
      thinking.push({ ...thought, text: await artifacts.reference(thought.text, owner, inline) });
    }
    return { text, toolCalls, ...(thinking.length === 0 ? {} : { thinking }) };
  }

  async #record(
    { owner, model, continues, messages }: TurnInput,
    effectId: string,
    output: TurnOutput,
  ): Promise<number> {
    const { artifacts, transcript, clock } = this.#with;
    const inline = new ByteBudget('the request', gatewayLimits.inlineBytesMax);
    const request = await artifacts.reference(JSON.stringify(messages), owner, inline);
    const time = clock.now().toISOString();
    return transcript.append({ effectId, owner, model, continues, request, output, time });
  }

  async #ask(provider: Provider, question: Question, input: TurnInput, context: CommandContext): Promise<Asked> {
    const timeLimitMs = Math.min(input.timeLimitMs, modelOperations.turn.timeLimitMs);
    const timeLimit = new AbortController();
    const timer = setTimeout(() => {
      timeLimit.abort(new CoppiceError('deadline-exceeded', `${input.model} did not answer within ${timeLimitMs} ms`));
    }, timeLimitMs);
    const signal = AbortSignal.any([context.signal, timeLimit.signal]);
    const endsAtMs = Date.now() + timeLimitMs;
    try {
      await this.#with.onPoint('before-asking');
      const { effectId } = context;
      const asked = await askPatiently(
        (attempt, before) => this.#attempt(provider, question, input, { effectId, signal, attempt, before }),
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
    { request, bytes }: Question,
    { owner, model: asked }: TurnInput,
    { effectId, signal, attempt, before }: AttemptContext,
  ): Promise<Attempt> {
    const about = { provider: provider.name, model: request.model, owner, effectId, attempt, before };
    return inAttemptSpan(about, async () => {
      const stream = provider.stream(request, { signal, effectId, owner });
      const { textBytesMax } = gatewayLimits;
      const collected = await collect(stream, { provider: provider.name, effectId, signal, textBytesMax });
      const outcome = withEstimates(collected, bytes);
      if (outcome.status === 'failed') {
        this.#log.warn({ err: outcome.error, effectId, owner, model: asked, attempt }, 'the provider failed');
      }
      return outcome;
    });
  }
}

/** `before`: why the attempt before this one was given up; null for the first. */
type AttemptContext = { effectId: string; signal: AbortSignal; attempt: number; before: CoppiceError | null };

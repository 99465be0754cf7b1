/**
 * Handles the command `llm-gateway turn`, which makes a durable model call.
 *
 * Collaborators: the bus's command server, which holds the call's claim; the exchange, which calls the providers; the
 * transcript; the conversations; the artifacts.
 *
 * Invariants:
 * 1. The transcript entry is stored before the claim is marked as done.
 * 2. A process that takes over a call from a lost process calls no provider. The actor gets the answer from the
 *    transcript. Without a transcript entry, the actor gets the error `unknown`, since the call may have been charged.
 * 3. Results and errors include the usage of failed attempts.
 * 4. A time limit, a cancellation or a stop also ends the request to the provider.
 * 5. While the NATS server is unavailable, the handler waits to store the answer. If storing fails, the call ends with
 *    `unknown`, since the answer was charged but can't be found. Only an error that isn't retryable replaces `unknown`.
 * 6. If a budget has cut an answer short, the call fails. The actor would treat the answer as complete, since it didn't
 *    set this limit.
 * 7. If an actor repeats a call whose outcome was unknown, the handler first looks for that call's earlier effects in
 *    the transcript. A lost process may only have been slow and may have stored the answer later.
 */
import { ClaimLost, handle } from '@coppice/bus';
import type { CommandContext, CommandHandler } from '@coppice/bus';
import { CoppiceError, modelOperations, toolLimits } from '@coppice/contracts';
import type { Owner, ToolCall, TurnOutput, turnInputSchema } from '@coppice/contracts';
import type { Clock } from '@coppice/service';
import { createLogger } from '@coppice/telemetry';
import type { z } from 'zod';
import type { Artifacts } from '../../artifacts.ts';
import { ByteBudget } from '../../byte-budget.ts';
import { collect } from '../../collect.ts';
import type { Answer } from '../../collect.ts';
import { answerMessage } from './conversations.ts';
import type { Conversation, Conversations } from './conversations.ts';
import type { ExchangeCollaborators } from '../../routing/collaborators.ts';
import type { ResolvedModel } from '../../routing/routes.ts';
import { startExchange } from '../../routing/exchange.ts';
import type { ExchangeResult, OutputCap } from '../../routing/exchange.ts';
import { gatewayLimits } from '../../limits.ts';
import { budgetsOf } from '../../budget/budgets-of-account.ts';
import type { TenantLimit } from '../../budget/budgets-of-account.ts';
import type { ProviderMessage } from '../../provider/port.ts';
import type { Transcript } from './transcript.ts';
import { bytesOfAnswer, toUsage, withUsage } from '../../usage.ts';

export type TurnInput = z.output<typeof turnInputSchema>;
type Answered = {
  answer: Answer;
  result: ExchangeResult;
  /** Includes the messages of `before`. */
  messages: readonly ProviderMessage[];
  before: Conversation;
  budget: ByteBudget;
};
type AnswerOutput = Pick<TurnOutput, 'text' | 'textSignature' | 'toolCalls' | 'thinking'>;

/** Points at which a test can kill the process, in this order. */
export const turnPoints = ['before-request', 'answered', 'in-transcript'] as const;
export type TurnPoint = (typeof turnPoints)[number];

export type TurnCollaborators = {
  exchange: ExchangeCollaborators;
  transcript: Transcript;
  conversations: Conversations;
  artifacts: Artifacts;
  clock: Clock;
  tenantLimits: readonly TenantLimit[];
  /** Called and awaited at each point. */
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
    const entry = await this.#with.transcript.find(input.owner, [...input.lostTurns, effectId]);
    this.#log.info(
      { effectId, owner: input.owner, finished: entry !== null },
      'a turn was taken over from a lost process',
    );
    return entry?.output ?? null;
  }

  async run(input: TurnInput, context: CommandContext): Promise<TurnOutput> {
    const { signal } = context;
    const { conversations, artifacts } = this.#with;
    const { owner } = input;
    const model = this.#with.exchange.routes.resolve(input.model);
    const earlier = input.lostTurns.length === 0 ? null : await this.#with.transcript.find(owner, input.lostTurns);
    if (earlier !== null) return earlier.output;
    const before = await conversations.upTo(owner, input.continues, signal);
    const budget = new ByteBudget('the prompt', gatewayLimits.promptBytesMax, before.bytes);
    const messages = [...before.messages, ...(await artifacts.read(input.messages, { owner, budget, signal }))];
    await this.#with.onPoint('before-request');
    await context.confirmClaim();
    const { answer, result } = await this.#call(model, messages, input, context);
    await this.#with.onPoint('answered');

    try {
      return await this.#store({ answer, result, messages, before, budget }, input, context);
    } catch (error) {
      // This error isn't replaced by `unknown`, since the answer of a repeated call couldn't be stored either.
      if (error instanceof CoppiceError && !error.retryable) throw withUsage(error, result);
      const text = `the model answered, and its answer could not be stored: ${error instanceof Error ? error.message : String(error)}`;
      throw withUsage(new CoppiceError('unknown', text, { cause: error }), result);
    }
  }

  async #store(
    { answer, result, messages, before, budget }: Answered,
    input: TurnInput,
    { effectId, queuedMs, signal }: CommandContext,
  ): Promise<TurnOutput> {
    const { conversations } = this.#with;
    const storing = unlessClaimLost(signal);
    const output: TurnOutput = {
      turnId: effectId,
      ...(await this.#byReference(answer, input.owner, storing)),
      finishReason: answer.finishReason,
      usage: toUsage(result.usage),
      responseModel: answer.responseModel ?? result.model ?? input.model,
      ...(result.provider === null ? {} : { provider: result.provider }),
      ...(answer.providerFinishReason === null ? {} : { providerFinishReason: answer.providerFinishReason }),
      ...(answer.responseId === null ? {} : { responseId: answer.responseId }),
      latencyMs: result.latencyMs,
      queuedMs,
      ...(result.cached ? { cached: true } : { attempts: result.attempts.length }),
    };
    const sequence = await this.#record(input, { effectId, output, signal: storing });
    const conversation = {
      messages: [...messages, answerMessage(answer)],
      bytes: budget.taken + bytesOfAnswer(answer),
      turns: before.turns + 1,
    };
    conversations.remember(input.owner, { turnId: effectId, sequence, conversation });
    await this.#with.onPoint('in-transcript');
    return output;
  }

  /** @throws CoppiceError, with the usage in its details. */
  async #call(
    model: ResolvedModel,
    messages: readonly ProviderMessage[],
    { owner, tools, settings, timeLimitMs, limits }: TurnInput,
    { effectId, signal, confirmClaim }: CommandContext,
  ): Promise<{ answer: Answer; result: ExchangeResult }> {
    const { deltas, result } = startExchange(this.#with.exchange, {
      model,
      request: { messages, tools, settings },
      context: { owner, effectId, signal },
      budgets: budgetsOf({ owner, limits }, this.#with.tenantLimits, this.#with.clock.now()),
      endsAtMs: Date.now() + Math.min(timeLimitMs, modelOperations.turn.timeLimitMs),
      // Before an attempt, a call may wait long for a provider's slot, for budgets or for a retry. If this process was
      // disconnected during the wait, another process may have taken over the claim.
      beforeAttempt: confirmClaim,
    });
    const collected = await collect(deltas, {
      provider: model.name,
      effectId,
      textBytesMax: gatewayLimits.textBytesMax,
    });
    if (collected.status === 'failed') throw withUsage(collected.error, result);
    if (collected.finishReason === 'length' && result.cap !== null)
      throw withUsage(cutBy(result.cap, model.name), result);
    return { answer: collected, result };
  }

  /** Stores large texts as artifacts and references them. */
  async #byReference(answer: Answer, owner: Owner, signal: AbortSignal): Promise<AnswerOutput> {
    const { artifacts } = this.#with;
    const inline = new ByteBudget('the answer', gatewayLimits.inlineBytesMax);
    // Signatures and ids are counted first, since they can't be stored as artifacts.
    for (const { signature } of [{ signature: answer.textSignature }, ...answer.toolCalls, ...answer.thinking])
      if (signature !== undefined) inline.take(Buffer.byteLength(signature.value));
    for (const { id } of answer.toolCalls) inline.take(Buffer.byteLength(id));
    const text = await artifacts.reference(answer.text, owner, inline, signal);
    // The actor sends the tool calls in a command, which has its own inline limit. Arguments above that limit are
    // stored as artifacts.
    const room = Math.max(0, Math.min(toolLimits.inlineBytesMax, gatewayLimits.inlineBytesMax - inline.taken));
    const inlineCalls = new ByteBudget('the calls', room);
    const toolCalls: ToolCall[] = [];
    for (const call of answer.toolCalls) {
      toolCalls.push({ ...call, arguments: await artifacts.reference(call.arguments, owner, inlineCalls, signal) });
    }
    inline.take(inlineCalls.taken);
    const thinking: NonNullable<TurnOutput['thinking']> = [];
    for (const thought of answer.thinking) {
      thinking.push({ ...thought, text: await artifacts.reference(thought.text, owner, inline, signal) });
    }
    const { textSignature } = answer;
    return {
      text,
      ...(textSignature === undefined ? {} : { textSignature }),
      toolCalls,
      ...(thinking.length === 0 ? {} : { thinking }),
    };
  }

  async #record(
    { owner, model, continues, messages }: TurnInput,
    { effectId, output, signal }: { effectId: string; output: TurnOutput; signal: AbortSignal },
  ): Promise<number> {
    const { artifacts, transcript, clock } = this.#with;
    const inline = new ByteBudget('the request', gatewayLimits.inlineBytesMax);
    const request = await artifacts.reference(JSON.stringify(messages), owner, inline, signal);
    const time = clock.now().toISOString();
    return transcript.append({ effectId, owner, model, continues, request, output, time }, signal);
  }
}

/**
 * Returns a signal that is aborted together with `signal`, unless another process has taken over the call. In that case
 * this process still stores the answer, so that a repeated call finds it.
 */
function unlessClaimLost(signal: AbortSignal): AbortSignal {
  const aborted = new AbortController();
  const abort = () => {
    if (!(signal.reason instanceof ClaimLost)) aborted.abort(signal.reason);
  };
  if (signal.aborted) abort();
  else signal.addEventListener('abort', abort, { once: true });
  return aborted.signal;
}

function cutBy({ outputTokens, why }: OutputCap, model: string): CoppiceError {
  const text = `${model}'s answer was cut after ${outputTokens} tokens: ${why.message}`;
  return new CoppiceError('limit-exceeded', text, { cause: why, details: why.details ?? {} });
}

/**
 * The claimed model turn: the handler of `llm-gateway turn`.
 *
 * Collaborators: the bus's command server, which holds the claim around it; the exchange, which asks the providers; the transcript, and the conversations that are read from it; the artifacts.
 *
 * Invariants:
 * 1. The turn's transcript entry is stored, under its effect's id, before the handler returns, and so before the claim is done.
 * 2. A turn that is taken over from a lost process is looked for in the transcript first. Found: that is the answer, and no provider is asked.
 *    Not found: whether it was paid for isn't known, and the actor is told `unknown`.
 * 3. What failed attempts have used is in the result, or in the error.
 * 4. What the time limit, a cancellation or a stop interrupts ends with that reason, and its upstream call is ended.
 * 5. An answer is held until it is stored, however long the server is away. One that can't be stored is `unknown` like one whose process was lost: it is paid for, and nobody will
 *    find it.
 * 6. An answer that was cut because a budget had no more left is no answer: whoever ordered the turn named no maximum, and would take it for the whole.
 * 7. A turn that is ordered again, since what became of it was unknown, is looked for in the transcript under its earlier effects: an owner that was only slow may have stored its
 *    answer after it was judged lost.
 */
import { ClaimLost, handle } from '@coppice/bus';
import type { CommandContext, CommandHandler } from '@coppice/bus';
import { CoppiceError, modelOperations, toolLimits } from '@coppice/contracts';
import type { Owner, ToolCall, TurnOutput, turnInputSchema } from '@coppice/contracts';
import type { Clock } from '@coppice/service';
import { createLogger } from '@coppice/telemetry';
import type { z } from 'zod';
import type { Artifacts } from './artifacts.ts';
import { ByteBudget } from './byte-budget.ts';
import { collect } from './collect.ts';
import type { Answer } from './collect.ts';
import { answerMessage } from './conversations.ts';
import type { Conversation, Conversations } from './conversations.ts';
import type { ExchangeCollaborators } from './exchange/collaborators.ts';
import { startExchange } from './exchange/exchange.ts';
import type { ExchangeResult, OutputCap } from './exchange/exchange.ts';
import { gatewayLimits } from './limits.ts';
import { budgetsOf } from './money/whose-budgets.ts';
import type { TenantLimit } from './money/whose-budgets.ts';
import type { ProviderMessage } from './provider/port.ts';
import type { Transcript } from './transcript.ts';
import { bytesOfAnswer, toUsage, withUsage } from './usage.ts';

export type TurnInput = z.output<typeof turnInputSchema>;
type Answered = {
  answer: Answer;
  result: ExchangeResult;
  /** What was asked, with what came before it. */
  messages: readonly ProviderMessage[];
  before: Conversation;
  budget: ByteBudget;
};
type AnswerOutput = Pick<TurnOutput, 'text' | 'textSignature' | 'toolCalls' | 'thinking'>;

/** Where a test may end the process, in this order. */
export const turnPoints = ['before-asking', 'answered', 'in-transcript'] as const;
export type TurnPoint = (typeof turnPoints)[number];

export type TurnCollaborators = {
  exchange: ExchangeCollaborators;
  transcript: Transcript;
  conversations: Conversations;
  artifacts: Artifacts;
  clock: Clock;
  tenantLimits: readonly TenantLimit[];
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
    const earlier = input.lostTurns.length === 0 ? null : await this.#with.transcript.find(owner, input.lostTurns);
    if (earlier !== null) return earlier.output;
    const before = await conversations.upTo(owner, input.continues, signal);
    const budget = new ByteBudget('the prompt', gatewayLimits.promptBytesMax, before.bytes);
    const messages = [...before.messages, ...(await artifacts.read(input.messages, { owner, budget, signal }))];
    await this.#with.onPoint('before-asking');
    await context.confirmClaim();
    const { answer, result } = await this.#ask(messages, input, context);
    await this.#with.onPoint('answered');

    try {
      return await this.#store({ answer, result, messages, before, budget }, input, context);
    } catch (error) {
      // What storing again doesn't change, asking again doesn't either.
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

  /** @throws CoppiceError with what was used. */
  async #ask(
    messages: readonly ProviderMessage[],
    { owner, model, tools, settings, timeLimitMs, limits }: TurnInput,
    { effectId, signal, confirmClaim }: CommandContext,
  ): Promise<{ answer: Answer; result: ExchangeResult }> {
    const { deltas, result } = startExchange(this.#with.exchange, {
      model,
      request: { messages, tools, settings },
      context: { owner, effectId, signal },
      budgets: budgetsOf({ owner, limits }, this.#with.tenantLimits, this.#with.clock.now()),
      endsAtMs: Date.now() + Math.min(timeLimitMs, modelOperations.turn.timeLimitMs),
      // An attempt may wait for its place, its budgets or a retry for longer than a process that is cut off counts as living.
      beforeAttempt: confirmClaim,
    });
    const collected = await collect(deltas, { provider: model, effectId, textBytesMax: gatewayLimits.textBytesMax });
    if (collected.status === 'failed') throw withUsage(collected.error, result);
    if (collected.finishReason === 'length' && result.cap !== null) throw withUsage(cutBy(result.cap, model), result);
    return { answer: collected, result };
  }

  /** The answer's texts, those that are large by reference. */
  async #byReference(answer: Answer, owner: Owner, signal: AbortSignal): Promise<AnswerOutput> {
    const { artifacts } = this.#with;
    const inline = new ByteBudget('the answer', gatewayLimits.inlineBytesMax);
    // First: they have no other place.
    for (const { signature } of [{ signature: answer.textSignature }, ...answer.toolCalls, ...answer.thinking])
      if (signature !== undefined) inline.take(Buffer.byteLength(signature.value));
    for (const { id } of answer.toolCalls) inline.take(Buffer.byteLength(id));
    const text = await artifacts.reference(answer.text, owner, inline, signal);
    // Whoever asked passes the calls on with a command: what is more than it takes by value goes by reference here.
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

/** Aborted with the signal, unless another process has taken the turn over: the answer is stored all the same, for whoever orders the turn again. */
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

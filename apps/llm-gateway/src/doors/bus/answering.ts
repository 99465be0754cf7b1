/** What becomes of a model's answer: messages as it comes, or one with all of it. */
import type { Answer as BusAnswer } from '@coppice/bus';
import { chatLimits } from '@coppice/contracts';
import type { ChatAnswer, ContentPart, ModelMessage } from '@coppice/contracts';
import { collect } from '../../collect.ts';
import type { Answer } from '../../collect.ts';
import { answerMessage } from '../../conversations.ts';
import type { Exchange, ExchangeResult } from '../../exchange/exchange.ts';
import { gatewayLimits } from '../../limits.ts';
import type { ModelDelta, ModelDeltas, ProviderPart } from '../../provider/port.ts';
import { toUsage, withUsage } from '../../usage.ts';
import type { Chat } from './chats.ts';
import type { BusDoorLimits } from './limits.ts';
import { joined } from './joined.ts';
import { Teller } from './teller.ts';

/** As the client names the model, and what makes the ids of calls that have none. */
export type AnswerAbout = { model: string; effectId: string };

/** @throws CoppiceError with what was used. */
export async function wholeAnswer(exchange: Exchange, about: AnswerAbout, bytesMax: number): Promise<ChatAnswer> {
  const { deltas, result } = exchange;
  const attempt = await collect(deltas, { ...about, provider: about.model, textBytesMax: bytesMax });
  if (attempt.status === 'failed') throw withUsage(attempt.error, result);
  return { message: messageOf(attempt), ...endOf(attempt, result, about) };
}

type Telling = { answer: BusAnswer; chat: Chat; limits: BusDoorLimits };

/** From the first message, which tells the chat's id, to the last. */
export function startTelling({ answer, chat, limits }: Telling) {
  const teller = new Teller(answer, { limits, signal: chat.signal });
  teller.tell({ type: 'started', chatId: chat.id });
  answer.tellErrorsAs((error) => teller.numbered({ type: 'error', error }));
  const silence = setInterval(() => teller.tellIfSilent(), chatLimits.silenceMsMax / 2);
  return {
    /** @throws CoppiceError with what was used; it is told as the last message. */
    tell: (exchange: Exchange, about: AnswerAbout) => tellAnswer(exchange, about, teller),
    end: () => clearInterval(silence),
  };
}

async function tellAnswer({ deltas, result }: Exchange, about: AnswerAbout, teller: Teller): Promise<void> {
  const ids = new Map<number, string>();
  const attempt = await collect(told(deltas, teller, ids), {
    ...about,
    provider: about.model,
    textBytesMax: gatewayLimits.textBytesMax,
  });
  if (attempt.status === 'failed') throw withUsage(attempt.error, result);
  tellMadeIds(attempt, teller, ids);
  teller.tell({ type: 'result', ...endOf(attempt, result, about) });
}

/** The deltas, each once it is told. `ids` are those that were told, by call. */
async function* told(
  deltas: ModelDeltas,
  teller: Teller,
  ids: Map<number, string>,
): AsyncGenerator<readonly ModelDelta[], void, undefined> {
  for await (const together of deltas) {
    for (const delta of joined(together)) {
      if (delta.type === 'tool-call-delta') ids.set(delta.call, delta.id ?? ids.get(delta.call) ?? '');
      if (delta.type === 'text-delta' || delta.type === 'thinking-delta' || delta.type === 'tool-call-delta')
        await teller.tellDelta(delta);
    }
    yield together;
  }
}

/** A call whose id is missing, or another's, too, has one that the gateway made. */
function tellMadeIds({ toolCalls }: Answer, teller: Teller, ids: ReadonlyMap<number, string>): void {
  const calls = [...ids.keys()].toSorted((one, other) => one - other);
  for (const [index, call] of calls.entries()) {
    const id = toolCalls[index]?.id;
    if (id !== undefined && id !== ids.get(call)) teller.tell({ type: 'tool-call-delta', call, id, arguments: '' });
  }
}

function endOf(answer: Answer, result: ExchangeResult, { model }: AnswerAbout): Omit<ChatAnswer, 'message'> {
  const { finishReason, providerFinishReason, responseModel, responseId } = answer;
  return {
    finishReason,
    ...(providerFinishReason === null ? {} : { providerFinishReason }),
    responseModel: responseModel ?? result.model ?? model,
    ...(responseId === null ? {} : { responseId }),
    usage: toUsage(result.usage),
    provider: result.provider ?? '',
    model: result.model ?? model,
    attempts: result.attempts.length,
    latencyMs: result.latencyMs,
    queuedMs: result.queuedMs,
    cached: result.cached,
  };
}

function messageOf(answer: Answer): ModelMessage {
  const { role, content } = answerMessage(answer);
  return { role, content: content.flatMap(byValue) };
}

/** An answer has no other parts than these. */
function byValue(part: ProviderPart): ContentPart[] {
  if (part.type === 'text') return [part];
  if (part.type === 'thinking') return [{ ...part, text: { text: part.text } }];
  return part.type === 'tool-call' ? [{ ...part, arguments: { text: part.arguments } }] : [];
}

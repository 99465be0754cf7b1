/** Sends a model's answer to a bus client. */
import type { Answer as BusAnswer } from '@coppice/bus';
import { chatLimits } from '@coppice/contracts';
import type { ChatAnswer, ContentPart, ModelMessage } from '@coppice/contracts';
import { collect } from '../../collect.ts';
import type { Answer } from '../../collect.ts';
import { answerMessage } from '../turn/conversations.ts';
import type { Exchange, ExchangeResult } from '../../routing/exchange.ts';
import { gatewayLimits } from '../../limits.ts';
import type { ModelDelta, ModelDeltas, ProviderPart } from '../../provider/port.ts';
import { toUsage, withUsage } from '../../usage.ts';
import type { Chat } from './chats.ts';
import type { BusEndpointLimits } from './limits.ts';
import { joined } from './join-deltas.ts';
import { AnswerStream } from './answer-stream.ts';

/**
 * `model` is the model name in the client's request. A tool call that the provider sends without an id gets an id
 * derived from `effectId`.
 */
export type AnswerAbout = { model: string; effectId: string };

/** @throws CoppiceError, with the usage in its details. */
export async function wholeAnswer(exchange: Exchange, about: AnswerAbout, bytesMax: number): Promise<ChatAnswer> {
  const { deltas, result } = exchange;
  const attempt = await collect(deltas, { ...about, provider: about.model, textBytesMax: bytesMax });
  if (attempt.status === 'failed') throw withUsage(attempt.error, result);
  return { message: messageOf(attempt), ...endOf(attempt, result, about) };
}

type StreamedChat = { answer: BusAnswer; chat: Chat; limits: BusEndpointLimits };

/**
 * Sends the first message, which contains the chat's id. `send` sends the answer. `end` must be called after it, also
 * after an error.
 */
export function startStream({ answer, chat, limits }: StreamedChat) {
  const stream = new AnswerStream(answer, { limits, signal: chat.signal });
  stream.send({ type: 'started', chatId: chat.id });
  answer.sendErrorsAs((error) => stream.numbered({ type: 'error', error }));
  const silence = setInterval(() => stream.sendIfSilent(), chatLimits.silenceMsMax / 2);
  return {
    /** @throws CoppiceError, with the usage in its details. The bus library sends it as the last message. */
    send: (exchange: Exchange, about: AnswerAbout) => sendAnswer(exchange, about, stream),
    end: () => clearInterval(silence),
  };
}

async function sendAnswer({ deltas, result }: Exchange, about: AnswerAbout, stream: AnswerStream): Promise<void> {
  const ids = new Map<number, string>();
  const attempt = await collect(sent(deltas, stream, ids), {
    ...about,
    provider: about.model,
    textBytesMax: gatewayLimits.textBytesMax,
  });
  if (attempt.status === 'failed') throw withUsage(attempt.error, result);
  sendMadeIds(attempt, stream, ids);
  stream.send({ type: 'result', ...endOf(attempt, result, about) });
}

/** Sends the deltas to the client and yields them. Records in `ids` the id that was sent for each tool call. */
async function* sent(
  deltas: ModelDeltas,
  stream: AnswerStream,
  ids: Map<number, string>,
): AsyncGenerator<readonly ModelDelta[], void, undefined> {
  for await (const together of deltas) {
    for (const delta of joined(together)) {
      if (delta.type === 'tool-call-delta') ids.set(delta.call, delta.id ?? ids.get(delta.call) ?? '');
      if (delta.type === 'text-delta' || delta.type === 'thinking-delta' || delta.type === 'tool-call-delta')
        await stream.sendDelta(delta);
    }
    yield together;
  }
}

/** Sends the ids that the gateway generated for tool calls that the provider sent without an id. */
function sendMadeIds({ toolCalls }: Answer, stream: AnswerStream, ids: ReadonlyMap<number, string>): void {
  const calls = [...ids.keys()].toSorted((one, other) => one - other);
  for (const [index, call] of calls.entries()) {
    const id = toolCalls[index]?.id;
    if (id !== undefined && id !== ids.get(call)) stream.send({ type: 'tool-call-delta', call, id, arguments: '' });
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

/** Converts a part to the contract's form. Drops parts of kinds that can't occur in answers. */
function byValue(part: ProviderPart): ContentPart[] {
  if (part.type === 'text') return [part];
  if (part.type === 'thinking') return [{ ...part, text: { text: part.text } }];
  return part.type === 'tool-call' ? [{ ...part, arguments: { text: part.arguments } }] : [];
}

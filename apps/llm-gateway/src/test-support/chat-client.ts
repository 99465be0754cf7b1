/** A client of `llm.chat` that follows the protocol's rules for clients. */
import type { Bus } from '@coppice/bus';
import { CoppiceError, chatApi, chatLimits, chatMessageSchema } from '@coppice/contracts';
import type { ChatMessage } from '@coppice/contracts';

export type ChatQuestion = { model: string } & Record<string, unknown>;

export type HeardChat = {
  messages: ChatMessage[];
  text: string;
  /** The message of type `result`. Null if the chat failed. */
  result: Extract<ChatMessage, { type: 'result' }> | null;
  error: CoppiceError | null;
};

type Settings = {
  tenant?: string;
  /** Called with each message. The client waits until the returned promise resolves. */
  onMessage?: (message: ChatMessage) => unknown;
};

/** Default messages, with a prompt of 40 bytes. */
const messages = [{ role: 'user', content: [{ type: 'text', text: 'x'.repeat(40) }] }];

/** Sends a chat and receives all messages. Throws if a sequence number is missing. */
export async function sendChat(bus: Bus, question: ChatQuestion, settings: Settings = {}): Promise<HeardChat> {
  const { tenant = 'default', onMessage } = settings;
  const heard: HeardChat = { messages: [], text: '', result: null, error: null };
  const answers = bus.callStreamed({
    method: chatApi.chat,
    target: { tenant },
    input: { messages, ...question },
    message: chatMessageSchema,
    silenceMsMax: chatLimits.lostAfterMs,
  });
  try {
    for await (const message of answers) {
      if (message.sequence !== heard.messages.length)
        throw new Error(`message ${heard.messages.length} has the sequence ${message.sequence}`);
      heard.messages.push(message);
      await onMessage?.(message);
      if (message.type === 'text-delta') heard.text += message.text;
      if (message.type === 'result') return { ...heard, result: message };
    }
  } catch (error) {
    if (!(error instanceof CoppiceError)) throw error;
    return { ...heard, error };
  }
  throw new Error('the answer ended without an end');
}

export const sendWholeChat = (bus: Bus, question: ChatQuestion, tenant = 'default') =>
  bus.call(chatApi.chat, { tenant }, { messages, stream: false, ...question } as never);

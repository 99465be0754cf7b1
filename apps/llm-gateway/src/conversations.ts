/**
 * What was said before a turn, put together from the transcript.
 *
 * Collaborators: the transcript, the artifacts; a cache of conversations by the turn that they ended with.
 *
 * Invariants:
 * 1. What `upTo` gives is what the transcript says: an entry never changes and a turn has one at most, so that a remembered conversation is as
 *    good as a read one, whichever processes did its turns.
 * 2. Only what stands in the transcript is remembered.
 * 3. A conversation belongs to its task: the id of another task's turn finds nothing.
 * 4. The cache holds a conversation once, under its last turn, and no more than its limits.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { CoppiceError, modelMessageSchema } from '@coppice/contracts';
import type { Owner, TranscriptEntry } from '@coppice/contracts';
import { z } from 'zod';
import type { Artifacts } from './artifacts.ts';
import { ByteBudget } from './byte-budget.ts';
import { gatewayLimits } from './limits.ts';
import type { ProviderMessage, ProviderPart, ProviderToolCall } from './provider/port.ts';
import type { Transcript } from './transcript.ts';

export type Conversation = {
  messages: readonly ProviderMessage[];
  /** Of all texts in it. */
  bytes: number;
  turns: number;
};

export const emptyConversation: Conversation = { messages: [], bytes: 0, turns: 0 };

export type ConversationLimits = {
  conversationTurnsMax: number;
  promptBytesMax: number;
  cachedConversationsMax: number;
  cachedBytesMax: number;
  linkReadsMax: number;
  linkReadPauseMs: number;
};

const requestSchema = z.array(modelMessageSchema);

export class Conversations {
  readonly #transcript: Transcript;
  readonly #artifacts: Artifacts;
  readonly #limits: ConversationLimits;
  /** The least recently used first. */
  readonly #cache = new Map<string, Conversation>();
  #cachedBytes = 0;

  constructor(transcript: Transcript, artifacts: Artifacts, limits: ConversationLimits = gatewayLimits) {
    this.#transcript = transcript;
    this.#artifacts = artifacts;
    this.#limits = limits;
  }

  /**
   * What was said up to and with the answer of a turn; all of nothing for null.
   * @throws CoppiceError `not-found` where a turn of the chain isn't in the task's transcript, `limit-exceeded`.
   */
  async upTo(owner: Owner, turnId: string | null): Promise<Conversation> {
    if (turnId === null) return emptyConversation;
    const remembered = this.#cache.get(keyOf(owner, turnId));
    const conversation = remembered ?? (await this.#read(owner, turnId));
    this.#keep(keyOf(owner, turnId), conversation);
    if (conversation.turns < this.#limits.conversationTurnsMax) return conversation;
    throw new CoppiceError(
      'limit-exceeded',
      `a conversation of more than ${this.#limits.conversationTurnsMax} turns: compact it and start another`,
    );
  }

  /** Told when a turn stands in the transcript, with the conversation that its answer ends. */
  remember(owner: Owner, turnId: string, continued: string | null, conversation: Conversation): void {
    if (continued !== null) this.#drop(keyOf(owner, continued));
    this.#keep(keyOf(owner, turnId), conversation);
  }

  get cached(): { conversations: number; bytes: number } {
    return { conversations: this.#cache.size, bytes: this.#cachedBytes };
  }

  async #read(owner: Owner, turnId: string): Promise<Conversation> {
    const chain = await this.#chainTo(owner, turnId);
    const budget = new ByteBudget('the conversation', this.#limits.promptBytesMax);
    const messages: ProviderMessage[] = [];
    let turns = 0;
    // A second reading, so that a long transcript of many conversations is never in memory as a whole.
    for await (const { entry } of this.#transcript.entries(owner, chain.firstSequence)) {
      if (!chain.turnIds.has(entry.effectId)) continue;
      messages.push(...(await this.#messagesOf(entry, budget)));
      turns++;
      if (entry.effectId === turnId) break;
    }
    if (turns < chain.turnIds.size)
      throw new CoppiceError(
        'not-found',
        `a turn before ${turnId} is no longer in the transcript of task ${owner.taskId}`,
      );
    return { messages, bytes: budget.taken, turns };
  }

  /** The turns from the conversation's first to this one. */
  async #chainTo(owner: Owner, turnId: string): Promise<{ turnIds: Set<string>; firstSequence: number }> {
    for (let reading = 1; ; reading++) {
      const links = new Map<string, { continues: string | null; sequence: number }>();
      for await (const { entry, sequence } of this.#transcript.entries(owner)) {
        links.set(entry.effectId, { continues: entry.continues, sequence });
        if (entry.effectId === turnId) break;
      }
      const chain = chainOf(links, turnId, this.#limits.conversationTurnsMax);
      if (!('missing' in chain)) return chain;
      if (reading === this.#limits.linkReadsMax) {
        throw new CoppiceError('not-found', `turn ${chain.missing} is not in the transcript of task ${owner.taskId}`);
      }
      // A replica of the transcript may lag behind what another has confirmed.
      await sleep(this.#limits.linkReadPauseMs);
    }
  }

  async #messagesOf(entry: TranscriptEntry, budget: ByteBudget): Promise<ProviderMessage[]> {
    // What counts of it are its texts, below.
    const unread = new ByteBudget(`the request of turn ${entry.effectId}`, gatewayLimits.requestBytesMax);
    const request: unknown = JSON.parse(await this.#artifacts.text(entry.request, unread));
    const messages = await this.#artifacts.read(requestSchema.parse(request), budget);
    const text = await this.#artifacts.text(entry.output.text, budget);
    const toolCalls: ProviderToolCall[] = [];
    for (const call of entry.output.toolCalls) {
      toolCalls.push({ ...call, arguments: await this.#artifacts.text(call.arguments, budget) });
    }
    return [...messages, answerMessage(text, toolCalls)];
  }

  #keep(key: string, conversation: Conversation): void {
    this.#drop(key);
    const { cachedBytesMax, cachedConversationsMax } = this.#limits;
    if (conversation.bytes > cachedBytesMax) return;
    this.#cache.set(key, conversation);
    this.#cachedBytes += conversation.bytes;
    for (const oldest of this.#cache.keys()) {
      if (this.#cachedBytes <= cachedBytesMax && this.#cache.size <= cachedConversationsMax) return;
      this.#drop(oldest);
    }
  }

  #drop(key: string): void {
    this.#cachedBytes -= this.#cache.get(key)?.bytes ?? 0;
    this.#cache.delete(key);
  }
}

/** An answer as the next turn's request holds it. An empty one is there too: the model is to see that it said nothing. */
export function answerMessage(text: string, toolCalls: readonly ProviderToolCall[]): ProviderMessage {
  const said: ProviderPart[] = text === '' ? [] : [{ type: 'text', text }];
  return {
    role: 'assistant',
    content: [...said, ...toolCalls.map((call) => ({ type: 'tool-call' as const, ...call }))],
  };
}

const keyOf = (owner: Owner, turnId: string): string => `${owner.tenant}/${owner.taskId}/${turnId}`;

function chainOf(
  links: ReadonlyMap<string, { continues: string | null; sequence: number }>,
  turnId: string,
  turnsMax: number,
): { turnIds: Set<string>; firstSequence: number } | { missing: string } {
  const turnIds = new Set<string>();
  let firstSequence = 1;
  for (let next: string | null = turnId; next !== null;) {
    const link = links.get(next);
    if (link === undefined) return { missing: next };
    if (turnIds.has(next) || turnIds.size >= turnsMax)
      throw new CoppiceError(
        'limit-exceeded',
        `the conversation before turn ${turnId} has more than ${turnsMax} turns`,
      );
    turnIds.add(next);
    firstSequence = link.sequence;
    next = link.continues;
  }
  return { turnIds, firstSequence };
}

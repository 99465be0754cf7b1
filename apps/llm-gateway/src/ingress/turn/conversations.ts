/**
 * Builds the conversation before a model call from the transcript. Caches the latest conversation of each task.
 *
 * Invariants:
 * 1. A model call has at most one transcript entry, which never changes. So a cached conversation equals the
 *    conversation in the transcript, even if other processes made its calls.
 * 2. Only entries that are in the transcript are cached.
 * 3. The id of another task's model call is rejected with `not-found`.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { CoppiceError, modelMessageSchema } from '@coppice/contracts';
import type { Owner, Signature, TranscriptEntry } from '@coppice/contracts';
import { LRUCache } from 'lru-cache';
import { z } from 'zod';
import type { Artifacts, Reading } from '../../artifacts.ts';
import { ByteBudget } from '../../byte-budget.ts';
import { gatewayLimits } from '../../limits.ts';
import type { ProviderMessage, ProviderPart, ProviderThinking, ProviderToolCall } from '../../provider/port.ts';
import type { Transcript } from './transcript.ts';

export type Conversation = {
  messages: readonly ProviderMessage[];
  /** Size of all texts. */
  bytes: number;
  turns: number;
};

export const emptyConversation: Conversation = { messages: [], bytes: 0, turns: 0 };

/**
 * A conversation in the cache. `turnId` is its last model call. `sequence` is the sequence number of that call's
 * transcript entry.
 */
type Remembered = { turnId: string; sequence: number; conversation: Conversation };

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
  /** The latest conversation of each task. */
  readonly #cache: LRUCache<string, Remembered>;

  constructor(transcript: Transcript, artifacts: Artifacts, limits: ConversationLimits = gatewayLimits) {
    this.#transcript = transcript;
    this.#artifacts = artifacts;
    this.#limits = limits;
    this.#cache = new LRUCache({
      max: limits.cachedConversationsMax,
      maxSize: limits.cachedBytesMax,
      // The cache rejects a size of 0.
      sizeCalculation: ({ conversation }) => Math.max(1, conversation.bytes),
    });
  }

  /**
   * Returns the conversation up to and including the answer of this model call.
   * @param signal aborts the reads of referenced texts
   * @throws CoppiceError `not-found` if one of the conversation's calls isn't in the task's transcript; CoppiceError
   * `limit-exceeded`; the signal's reason
   */
  async upTo(
    owner: Owner,
    turnId: string | null,
    signal: AbortSignal = new AbortController().signal,
  ): Promise<Conversation> {
    if (turnId === null) return emptyConversation;
    const remembered = this.#cache.get(keyOf(owner));
    const found =
      remembered?.turnId === turnId
        ? remembered
        : await this.#read(owner, { turnId, remembered: remembered ?? null, signal });
    this.remember(owner, found);
    if (found.conversation.turns < this.#limits.conversationTurnsMax) return found.conversation;
    throw tooManyTurns(turnId, this.#limits.conversationTurnsMax);
  }

  /** Caches a conversation. Must be called only after the transcript entry of its last model call is stored. */
  remember(owner: Owner, remembered: Remembered): void {
    this.#cache.set(keyOf(owner), remembered);
  }

  get cached(): { conversations: number; bytes: number } {
    return { conversations: this.#cache.size, bytes: this.#cache.calculatedSize };
  }

  async #read(
    owner: Owner,
    { turnId, remembered, signal }: { turnId: string; remembered: Remembered | null; signal: AbortSignal },
  ): Promise<Remembered> {
    const chain = await this.#chainTo(owner, turnId, remembered);
    const before = chain.from === null ? emptyConversation : chain.from.conversation;
    const budget = new ByteBudget('the conversation', this.#limits.promptBytesMax, before.bytes);
    const messages = [...before.messages];
    let turns = 0;
    // `#chainTo` has already read these entries. Reading them again avoids having a long transcript completely in
    // memory.
    for await (const { entry, sequence } of this.#transcript.entries(owner, chain.firstSequence)) {
      if (!chain.turnIds.has(entry.effectId)) continue;
      messages.push(...(await this.#messagesOf(entry, { owner, budget, signal })));
      turns++;
      if (entry.effectId !== turnId || turns < chain.turnIds.size) continue;
      return { turnId, sequence, conversation: { messages, bytes: budget.taken, turns: before.turns + turns } };
    }
    throw missing(owner, `a turn before ${turnId}`);
  }

  /**
   * Returns the model calls to read. These are the calls up to and including `turnId`, except those in the cached
   * conversation.
   */
  async #chainTo(owner: Owner, turnId: string, remembered: Remembered | null): Promise<Chain> {
    if (remembered !== null) {
      const chain = await this.#chainFrom(owner, turnId, remembered);
      if (!('missing' in chain)) return chain;
    }
    for (let reading = 1; ; reading++) {
      const chain = await this.#chainFrom(owner, turnId, null);
      if (!('missing' in chain)) return chain;
      if (reading === this.#limits.linkReadsMax) throw missing(owner, `turn ${chain.missing}`);
      // Another NATS replica may have confirmed the entry, but the replica that answers this read may not have it yet.
      await sleep(this.#limits.linkReadPauseMs);
    }
  }

  async #chainFrom(owner: Owner, turnId: string, from: Remembered | null): Promise<Chain | { missing: string }> {
    const links = new Map<string, Link>();
    for await (const { entry, sequence } of this.#transcript.entries(owner, (from?.sequence ?? 0) + 1)) {
      links.set(entry.effectId, { continues: entry.continues, sequence });
      if (entry.effectId === turnId) break;
    }
    return chainOf(links, turnId, from, this.#limits.conversationTurnsMax);
  }

  async #messagesOf(entry: TranscriptEntry, reading: Reading): Promise<ProviderMessage[]> {
    // The request's JSON has its own limit. The conversation's budget counts only the texts that the JSON contains or
    // references.
    const unread = new ByteBudget(`the request of turn ${entry.effectId}`, gatewayLimits.requestBytesMax);
    const request: unknown = JSON.parse(await this.#artifacts.text(entry.request, { ...reading, budget: unread }));
    const messages = await this.#artifacts.read(requestSchema.parse(request), reading);
    const text = await this.#artifacts.text(entry.output.text, reading);
    const toolCalls: ProviderToolCall[] = [];
    for (const call of entry.output.toolCalls) {
      toolCalls.push({ ...call, arguments: await this.#artifacts.text(call.arguments, reading) });
    }
    const thinking: Answered['thinking'][number][] = [];
    for (const thought of entry.output.thinking ?? []) {
      thinking.push({ ...thought, text: await this.#artifacts.text(thought.text, reading) });
    }
    const { textSignature } = entry.output;
    return [...messages, answerMessage({ text, textSignature, toolCalls, thinking })];
  }
}

/**
 * Converts an answer to a message of the next request. An empty answer also becomes a message, so that the model sees
 * it.
 */
export function answerMessage({ text, textSignature, toolCalls, thinking }: Answered): ProviderMessage {
  const signature = textSignature === undefined ? {} : { signature: textSignature };
  const said: ProviderPart[] = text === '' && textSignature === undefined ? [] : [{ type: 'text', text, ...signature }];
  const thoughtsBefore = (call: number): ProviderPart[] =>
    thinking
      .filter(({ callsBefore }) => callsBefore === call)
      .map(({ callsBefore: _place, ...thought }) => ({ type: 'thinking', ...thought }));
  const calls = toolCalls.flatMap((call, position): ProviderPart[] => [
    ...(position === 0 ? [] : thoughtsBefore(position)),
    { type: 'tool-call', ...call },
  ]);
  return { role: 'assistant', content: [...thoughtsBefore(0), ...said, ...calls] };
}

type Answered = {
  text: string;
  textSignature?: Signature | undefined;
  toolCalls: readonly ProviderToolCall[];
  thinking: readonly (ProviderThinking & { callsBefore: number })[];
};

const keyOf = (owner: Owner): string => `${owner.tenant}/${owner.taskId}`;

type Link = { continues: string | null; sequence: number };
/**
 * `from` is the cached conversation that the model calls continue. It is null if they start a conversation or if the
 * cached conversation isn't used.
 */
type Chain = { turnIds: Set<string>; firstSequence: number; from: Remembered | null };

function chainOf(
  links: ReadonlyMap<string, Link>,
  turnId: string,
  from: Remembered | null,
  turnsMax: number,
): Chain | { missing: string } {
  const turnIds = new Set<string>();
  let firstSequence = 1;
  let next: string | null = turnId;
  while (next !== null && next !== from?.turnId) {
    const link = links.get(next);
    if (link === undefined) return { missing: next };
    if (turnIds.has(next) || turnIds.size >= turnsMax) throw tooManyTurns(turnId, turnsMax);
    turnIds.add(next);
    firstSequence = link.sequence;
    next = link.continues;
  }
  return { turnIds, firstSequence, from: next === null ? null : from };
}

const missing = (owner: Owner, what: string): CoppiceError =>
  new CoppiceError('not-found', `${what} is not in the transcript of task ${owner.taskId}`);

const tooManyTurns = (turnId: string, turnsMax: number): CoppiceError =>
  new CoppiceError(
    'limit-exceeded',
    `turn ${turnId} ends a conversation of ${turnsMax} turns, the limit: begin a new one from a summary`,
  );

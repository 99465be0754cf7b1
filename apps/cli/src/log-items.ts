/** The items of `coppice logs`, made from the agent's turns, the output of its commands, and the task's states. */
import { outputKept } from '@coppice/contracts';
import type { CoppiceEvent, LogChunk, ModelMessage, TranscriptEntry, Usage } from '@coppice/contracts';
import { answeredBy } from './transcript.ts';
import type { Texts } from './transcript.ts';

/** `time` is in the format RFC 3339. `shortened` is true if `text` was truncated. */
export type LogItem = { time: string } & (
  | { kind: 'state'; state: string; reason: string | null }
  /**
   * A text that the agent's program sent to the model. `opening` is true for the task, with which a conversation
   * begins. Other messages are reminders.
   */
  | { kind: 'message'; text: string; shortened: boolean; opening: boolean }
  | { kind: 'result'; callId: string; tool: string; isError: boolean; text: string; shortened: boolean }
  /** `model` is the requested model or alias. `answeredBy` is the result of `answeredBy` in transcript.ts. */
  | {
      kind: 'turn';
      turnId: string;
      model: string;
      answeredBy: string | null;
      text: string;
      shortened: boolean;
      calls: LogCall[];
      usage: Usage;
    }
  | { kind: 'output'; sandboxId: string; stream: 'stdout' | 'stderr'; text: string }
);
export type LogCall = { id: string; name: string; arguments: string; shortened: boolean };

/** Length limit of a text. `full` switches it off. */
const charactersMax = 16_000;
/** Shown for a text that no longer exists. */
export const gone = '(no longer in the object store)';

function bounded(text: string | null, full: boolean): { text: string; shortened: boolean } {
  if (text === null) return { text: gone, shortened: true };
  const shortened = !full && text.length > charactersMax;
  return { text: shortened ? text.slice(0, charactersMax).toWellFormed() : text, shortened };
}

/** Returns the tool results and messages that the turn's request added, followed by the model's answer. */
export async function itemsOfTurn(entry: TranscriptEntry, texts: Texts, full = false): Promise<LogItem[]> {
  const { output, continues, model } = entry;
  const calls: LogCall[] = [];
  for (const call of output.toolCalls) {
    const { text, shortened } = bounded(await texts.read(call.arguments), full);
    calls.push({ id: call.id, name: call.name, arguments: text, shortened });
  }
  const { turnId, usage } = output;
  const said = bounded(await texts.read(output.text), full);
  const requestedAt = new Date(Date.parse(entry.time) - output.latencyMs).toISOString();
  const messages = (await texts.messagesOf(entry)) ?? [];
  const added: LogItem[] = [];
  const opening = continues === null;
  for (const message of messages) added.push(...(await itemsOfMessage(message, texts, { requestedAt, opening, full })));
  return [
    ...added,
    { kind: 'turn', time: entry.time, turnId, model, answeredBy: answeredBy(output), ...said, calls, usage },
  ];
}

async function itemsOfMessage(
  message: ModelMessage,
  texts: Texts,
  { requestedAt: time, opening, full }: { requestedAt: string; opening: boolean; full: boolean },
): Promise<LogItem[]> {
  // The system message is the same in every turn.
  if (message.role === 'system') return [];
  const items: LogItem[] = [];
  const words: string[] = [];
  for (const part of message.content) {
    if (part.type === 'tool-result') {
      const { callId, name, isError } = part;
      items.push({
        kind: 'result',
        time,
        callId,
        tool: name,
        isError,
        ...bounded(await texts.read(part.content), full),
      });
    } else if (part.type === 'text') words.push(part.text);
    else if (part.type === 'text-artifact') words.push((await texts.read({ artifact: part.artifact })) ?? gone);
  }
  if (words.length > 0) items.push({ kind: 'message', time, ...bounded(words.join(''), full), opening });
  return items;
}

export const itemOfChunk = ({ sandboxId, stream, text, time }: LogChunk): LogItem => ({
  kind: 'output',
  time,
  sandboxId,
  stream,
  text,
});

/**
 * Returns a sentence if output may be missing, otherwise null. The number of stored pieces and the time for which they
 * are stored are limited.
 */
export function lostOutput(pieces: number, firstAt: string | null, nowMs: number): string | null {
  const { piecesMax, days } = outputKept;
  if (pieces >= piecesMax) return `Only the last ${piecesMax} pieces of its commands' output are kept.`;
  if (firstAt === null || nowMs - Date.parse(firstAt) < days * 24 * 3_600_000) return null;
  return `Its commands' output is kept for ${days} days.`;
}

export function itemOfEvent(event: CoppiceEvent): LogItem | null {
  if (event.type !== 'coppice.task-state') return null;
  return { kind: 'state', time: event.time, state: event.data.to, reason: event.data.reason };
}

/** Merges sequences that are ordered by time. Reads each sequence at most one item ahead. */
export async function* mergeByTime<Item extends { time: string }>(
  sequences: readonly AsyncIterable<Item>[],
): AsyncIterable<Item> {
  const iterators = sequences.map((sequence) => sequence[Symbol.asyncIterator]());
  const heads = await Promise.all(iterators.map((iterator) => iterator.next()));
  for (;;) {
    let first = -1;
    for (const [index, head] of heads.entries()) {
      const least = heads[first];
      if (head.done !== true && (least === undefined || Date.parse(head.value.time) < Date.parse(least.value.time)))
        first = index;
    }
    const [head, iterator] = [heads[first], iterators[first]];
    if (head === undefined || iterator === undefined) return;
    yield head.value;
    heads[first] = await iterator.next();
  }
}

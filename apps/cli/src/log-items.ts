/** What `coppice logs` shows, as one sequence made of three: the agent's turns, the output of commands, and the task's states. */
import { outputKept } from '@coppice/contracts';
import type { CoppiceEvent, LogChunk, ModelMessage, TranscriptEntry, Usage } from '@coppice/contracts';
import { answeredBy } from './transcript.ts';
import type { Texts } from './transcript.ts';

/** `time` is RFC 3339. Texts are bounded: `shortened` tells where something is left out. */
export type LogItem = { time: string } & (
  | { kind: 'state'; state: string; reason: string | null }
  /** What the agent's program says to the model beside results: the task at the beginning, later a reminder. */
  | { kind: 'told'; text: string; shortened: boolean; opening: boolean }
  | { kind: 'result'; callId: string; tool: string; isError: boolean; text: string; shortened: boolean }
  /** `model` is what was asked for, or an alias; `answeredBy` who answered, as `provider/model`, null where that was not recorded. */
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

/** Of one text, unless all of it is wanted. */
const charactersMax = 16_000;
/** In place of a text. */
export const gone = '(no longer in the object store)';

function bounded(text: string | null, full: boolean): { text: string; shortened: boolean } {
  if (text === null) return { text: gone, shortened: true };
  const shortened = !full && text.length > charactersMax;
  return { text: shortened ? text.slice(0, charactersMax).toWellFormed() : text, shortened };
}

/** The results and words that a turn's request added, then what the model answered. */
export async function itemsOfTurn(entry: TranscriptEntry, texts: Texts, full = false): Promise<LogItem[]> {
  const { output, continues, model } = entry;
  const calls: LogCall[] = [];
  for (const call of output.toolCalls) {
    const { text, shortened } = bounded(await texts.read(call.arguments), full);
    calls.push({ id: call.id, name: call.name, arguments: text, shortened });
  }
  const { turnId, usage } = output;
  const said = bounded(await texts.read(output.text), full);
  const asked = new Date(Date.parse(entry.time) - output.latencyMs).toISOString();
  const messages = (await texts.messagesOf(entry)) ?? [];
  const told: LogItem[] = [];
  const opening = continues === null;
  for (const message of messages) told.push(...(await itemsOfMessage(message, texts, { asked, opening, full })));
  return [
    ...told,
    { kind: 'turn', time: entry.time, turnId, model, answeredBy: answeredBy(output), ...said, calls, usage },
  ];
}

async function itemsOfMessage(
  message: ModelMessage,
  texts: Texts,
  { asked: time, opening, full }: { asked: string; opening: boolean; full: boolean },
): Promise<LogItem[]> {
  // Always the same.
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
  if (words.length > 0) items.push({ kind: 'told', time, ...bounded(words.join(''), full), opening });
  return items;
}

export const itemOfChunk = ({ sandboxId, stream, text, time }: LogChunk): LogItem => ({
  kind: 'output',
  time,
  sandboxId,
  stream,
  text,
});

/** What commands printed is kept for a time, and so many pieces of it; null where nothing of a task's can be gone. */
export function lostOutput(pieces: number, firstAt: string | null, nowMs: number): string | null {
  const { piecesMax, days } = outputKept;
  if (pieces >= piecesMax) return `Of what its commands printed, only the last ${piecesMax} pieces are kept.`;
  if (firstAt === null || nowMs - Date.parse(firstAt) < days * 24 * 3_600_000) return null;
  return `What its commands printed is kept for ${days} days.`;
}

/** Null for an event that tells nothing beside the rest. */
export function itemOfEvent(event: CoppiceEvent): LogItem | null {
  if (event.type !== 'coppice.task-state') return null;
  return { kind: 'state', time: event.time, state: event.data.to, reason: event.data.reason };
}

/** Sequences that are each in order of time as one that is; holds one item of each. */
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

/** How often the model was asked for what it had answered already: its own counter against what the transcripts hold. */
import { readFile } from 'node:fs/promises';
import { streams, transcriptEntrySchema } from '@coppice/contracts';
import type { ChaosSystem } from './system.ts';

type Asked = { event: 'asked' | 'answered'; taskId: string; effectId: string; position: number; time: string };

export type ModelFigures = {
  asked: number;
  /** Turns in transcripts. */
  stored: number;
  /** One sentence for each call that was begun after its turn was stored. */
  paidTwice: string[];
  /** Calls that were begun again since nobody knew whether they had been finished. */
  unknown: number;
};

/** Clocks of processes of one machine, and the time between a look at the transcript and the call. */
const toleranceMs = 50;

export async function checkModel(system: ChaosSystem): Promise<ModelFigures> {
  const lines = (await readFile(system.countFile, 'utf8'))
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Asked);
  const positionOf = new Map(lines.map(({ effectId, position }) => [effectId, position]));
  const storedAt = new Map<string, number>();
  const storedEffects = new Set<string>();
  let stored = 0;
  const paidTwice: string[] = [];
  for await (const message of system.bus.read(streams.transcripts, 'coppice.transcript.>')) {
    const entry = transcriptEntrySchema.safeParse(message.json());
    if (!entry.success) continue;
    stored++;
    const { effectId, owner } = entry.data;
    const turn = `${owner.taskId} turn ${positionOf.get(effectId) ?? '?'}`;
    if (storedEffects.has(effectId)) paidTwice.push(`${turn}: ${effectId} is stored twice`);
    storedEffects.add(effectId);
    // A process that was cut off may store its answer after the call was begun again: what counts is the first one.
    if (!storedAt.has(turn)) storedAt.set(turn, message.publishedAt.getTime());
  }
  const asks = new Map<string, Asked[]>();
  for (const line of lines.filter(({ event }) => event === 'asked')) {
    const turn = `${line.taskId} turn ${line.position}`;
    asks.set(turn, [...(asks.get(turn) ?? []), line]);
  }
  let unknown = 0;
  for (const [turn, ofTurn] of asks) {
    const late = ofTurn.filter(({ time }) => Date.parse(time) > (storedAt.get(turn) ?? Infinity) + toleranceMs);
    for (const { time, effectId } of late)
      paidTwice.push(
        `${turn}: asked again at ${time} by ${effectId}, stored at ${new Date(storedAt.get(turn) ?? 0).toISOString()}`,
      );
    unknown += ofTurn.length - 1 - late.length;
  }
  return { asked: lines.filter(({ event }) => event === 'asked').length, stored, paidTwice, unknown };
}

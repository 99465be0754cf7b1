/** Counts repeated model calls for stored answers: compares the model's own log with the transcripts. */
import { readFile } from 'node:fs/promises';
import { streams, transcriptEntrySchema } from '@coppice/contracts';
import type { ChaosSystem } from './system.ts';

type Asked = { event: 'asked' | 'answered'; taskId: string; effectId: string; position: number; time: string };

export type ModelFigures = {
  asked: number;
  /** Number of turns in transcripts. */
  stored: number;
  /** One sentence for each call that started after its turn was stored. */
  paidTwice: string[];
  /** Calls that were repeated because it was unknown whether the first had finished. */
  unknown: number;
};

/** Tolerance for the clocks of processes on one machine, and for the time between reading the transcript and the call. */
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
    // A process that lost its connection may store its answer after the call was repeated: the first stored answer counts.
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

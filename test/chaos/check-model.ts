/** Finds model calls that were repeated although their answer was stored. */
import { readFile } from 'node:fs/promises';
import { streams, transcriptEntrySchema } from '@coppice/contracts';
import type { ChaosSystem } from './system.ts';

/** A line of the scripted model's count file. */
type CountLine = { event: 'requested' | 'answered'; taskId: string; effectId: string; position: number; time: string };

export type ModelFigures = {
  sent: number;
  /** Number of answers in transcripts. */
  stored: number;
  /** One sentence for each call that started although its turn was stored, and for each answer that is stored twice. */
  paidTwice: string[];
  /** Number of calls that repeat a call whose outcome was unknown. */
  unknown: number;
};

/** Covers differences between clocks, and the time from the gateway's read of the transcript to its call. */
const toleranceMs = 50;

export async function checkModel(system: ChaosSystem): Promise<ModelFigures> {
  const lines = (await readFile(system.countFile, 'utf8'))
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as CountLine);
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
    // The first stored answer counts, since a process that lost its connection may store its answer after the
    // repeated call.
    if (!storedAt.has(turn)) storedAt.set(turn, message.publishedAt.getTime());
  }
  const requests = lines.filter(({ event }) => event === 'requested');
  const requestsByTurn = new Map<string, CountLine[]>();
  for (const line of requests) {
    const turn = `${line.taskId} turn ${line.position}`;
    requestsByTurn.set(turn, [...(requestsByTurn.get(turn) ?? []), line]);
  }
  let unknown = 0;
  for (const [turn, ofTurn] of requestsByTurn) {
    const late = ofTurn.filter(({ time }) => Date.parse(time) > (storedAt.get(turn) ?? Infinity) + toleranceMs);
    for (const { time, effectId } of late)
      paidTwice.push(
        `${turn}: sent again at ${time} by ${effectId}, stored at ${new Date(storedAt.get(turn) ?? 0).toISOString()}`,
      );
    unknown += ofTurn.length - 1 - late.length;
  }
  return { sent: requests.length, stored, paidTwice, unknown };
}

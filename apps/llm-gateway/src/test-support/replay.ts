/** Feeds recorded streams to a wire format's reader, in pieces of different sizes. */
import { readFile } from 'node:fs/promises';
import fc from 'fast-check';
import { collect } from '../collect.ts';
import type { Attempt } from '../collect.ts';
import { AnswerStream } from '../transport/answer-stream.ts';
import type { Wire } from '../transport/wire.ts';
import type { ModelDeltas } from '../provider/port.ts';

/**
 * Returns the bytes of a fixture. `recorded(import.meta.url, 'text.sse')` reads `fixtures/text.sse` next to the test.
 */
export const recorded = (testUrl: string, name: string): Promise<Uint8Array> =>
  readFile(new URL(`fixtures/${name}`, testUrl));

/** Returns the collected result of a stream that arrives in these pieces. */
export function replay(wire: Wire, pieces: readonly Uint8Array[]): Promise<Attempt> {
  return collect(deltasOf(wire, pieces), {
    provider: 'acme',
    effectId: 'task_t1_1_1',
    textBytesMax: 1_000_000,
  });
}

export function replayWhole(wire: Wire, body: unknown): Promise<Attempt> {
  async function* play(): ModelDeltas {
    const reader = wire.reader({ provider: 'acme', secret: null });
    yield [...reader.whole(body), ...reader.end()];
  }
  return collect(play(), {
    provider: 'acme',
    effectId: 'task_t1_1_1',
    textBytesMax: 1_000_000,
  });
}

async function* deltasOf(wire: Wire, pieces: readonly Uint8Array[]): ModelDeltas {
  const reader = wire.reader({ provider: 'acme', secret: null });
  const stream = new AnswerStream(wire.framing, reader, false);
  for (const piece of pieces) for (const delta of stream.read(piece)) yield [delta];
  for (const delta of stream.end()) yield [delta];
  yield [...reader.end()];
}

function cutAt(bytes: Uint8Array, positions: readonly number[]): Uint8Array[] {
  const ends = [...positions.toSorted((one, other) => one - other), bytes.length];
  return ends.map((end, index) => bytes.subarray(ends[index - 1] ?? 0, end));
}

const byteByByte = (bytes: Uint8Array): Uint8Array[] => Array.from(bytes, (byte) => Uint8Array.of(byte));

/** Returns the positions where a cut splits a UTF-8 character. */
const insideCharacters = (bytes: Uint8Array): number[] =>
  [...bytes.keys()].filter((position) => ((bytes[position] ?? 0) & 0xc0) === 0x80);

const anyCuts = (bytes: Uint8Array): fc.Arbitrary<Uint8Array[]> =>
  fc
    .uniqueArray(fc.integer({ min: 0, max: bytes.length }), { maxLength: 40 })
    .map((positions) => cutAt(bytes, positions));

const allOfTheLast = 300;
const step = 5;

/**
 * Returns the lengths at which a test cuts the stream. It tests every length near the end, since a cut there looks most
 * like the real end.
 */
const beginnings = (bytes: Uint8Array): number[] =>
  [...bytes.keys()].filter((length) => length % step === 0 || length > bytes.length - allOfTheLast);

/**
 * Plays a stream in pieces of different sizes, and then cut at different lengths.
 * @returns the result of the whole stream
 * @throws if other pieces of the same bytes give a different result, or if a cut stream gives a shorter complete answer
 */
export async function replayEveryWay(wire: Wire, bytes: Uint8Array): Promise<Attempt> {
  const whole = await replay(wire, [bytes]);
  await expectSame(wire, byteByByte(bytes), whole);
  await expectSame(wire, cutAt(bytes, insideCharacters(bytes)), whole);
  await fc.assert(
    fc.asyncProperty(anyCuts(bytes), (pieces) => expectSame(wire, pieces, whole)),
    { numRuns: 50 },
  );
  for (const length of beginnings(bytes)) await expectNoTruncatedSuccess(wire, bytes.subarray(0, length), whole);
  return whole;
}

async function expectSame(wire: Wire, pieces: readonly Uint8Array[], whole: Attempt): Promise<void> {
  const attempt = await replay(wire, pieces);
  if (textOf(attempt) === textOf(whole)) return;
  throw new Error(`in ${pieces.length} pieces the stream comes to ${textOf(attempt)}, as a whole to ${textOf(whole)}`);
}

/** Checks that a cut stream fails, unless only its usage and final event are missing. */
async function expectNoTruncatedSuccess(wire: Wire, beginning: Uint8Array, whole: Attempt): Promise<void> {
  const attempt = await replay(wire, [beginning]);
  if (attempt.status === 'failed') return;
  if (textOf({ ...attempt, usage: {} }) === textOf({ ...whole, usage: {} })) return;
  throw new Error(`cut after ${beginning.length} bytes the stream is taken for whole: ${textOf(attempt)}`);
}

const textOf = (attempt: Attempt): string =>
  JSON.stringify(attempt.status === 'failed' ? { ...attempt, error: attempt.error.toWire() } : attempt);

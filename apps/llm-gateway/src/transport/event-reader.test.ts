import fc from 'fast-check';
import { expect, test } from 'vitest';
import { EventReader, EventTooLarge } from './event-reader.ts';
import type { StreamEvent } from './event-reader.ts';

const bytesOf = (text: string) => new TextEncoder().encode(text);

function readAll(pieces: readonly Uint8Array[], charactersMax = 10_000): StreamEvent[] {
  const reader = new EventReader(charactersMax);
  return [...pieces.flatMap((piece) => reader.read(piece)), ...reader.end()];
}
const event = (data: string, name: string | null = null, complete = true): StreamEvent => ({ name, data, complete });

const mixed = [
  '\uFEFF: a comment\n',
  'data: {"text":"Grüße, 你好 👩‍💻"}\n\n',
  'event: error\r\ndata: two\r\ndata: lines\r\n\r\n',
  'id: 7\rretry: 10\rdata:close\r\r',
  'error: {"message":"no room"}\n\n',
  ': keep-alive\n\n',
  'unknown: field\n\n',
  'data: [DONE]\n\n',
  'data: without its blank line',
].join('');

test('events are returned unchanged, without comments and unknown fields', () => {
  expect(readAll([bytesOf(mixed)])).toEqual([
    event('{"text":"Grüße, 你好 👩‍💻"}'),
    event('two\nlines', 'error'),
    event('close'),
    event('{"message":"no room"}', 'error'),
    event('[DONE]'),
    event('without its blank line', null, false),
  ]);
});

test('any split of the bytes, even inside characters, gives the same events', () => {
  const bytes = bytesOf(mixed);
  const whole = readAll([bytes]);
  const cuts = fc.uniqueArray(fc.integer({ min: 0, max: bytes.length }), { maxLength: 40 });
  fc.assert(
    fc.property(cuts, (at) => {
      const ends = [...at.toSorted((one, other) => one - other), bytes.length];
      const pieces = ends.map((end, index) => bytes.subarray(ends[index - 1] ?? 0, end));
      expect(readAll(pieces)).toEqual(whole);
    }),
    { numRuns: 500 },
  );
  expect(readAll(Array.from(bytes, (byte) => Uint8Array.of(byte)))).toEqual(whole);
});

test('any texts with any line ends are returned unchanged, however they are split', () => {
  const texts = fc.array(
    fc.string({ unit: 'grapheme' }).map((text) => text.replaceAll(/[\r\n\uFEFF]/g, '')),
    {
      minLength: 1,
      maxLength: 8,
    },
  );
  fc.assert(
    fc.property(texts, fc.constantFrom('\n', '\r\n', '\r'), fc.integer({ min: 1, max: 9 }), (data, newline, size) => {
      const bytes = bytesOf(data.map((text) => `data: ${text}${newline}${newline}`).join(''));
      const pieces = Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) =>
        bytes.subarray(index * size, (index + 1) * size),
      );
      expect(readAll(pieces)).toEqual(data.map((text) => event(text)));
    }),
  );
});

test('the reported size of an incomplete event is never too low, and is 0 after a complete event', () => {
  const reader = new EventReader(10_000);
  const halfReadAfter = (text: string) => {
    reader.read(bytesOf(text));
    return reader.halfReadCharacters;
  };
  expect(['data: one\n', 'data: two', 'more', '\n\n'].map(halfReadAfter)).toEqual([10, 19, 23, 0]);
  expect(halfReadAfter('data: one\n\ndata: two\nda')).toBeGreaterThanOrEqual('data: two\nda'.length);
  expect(halfReadAfter('ta: three\r\n\r\n')).toBe(0);
  // A line of white space doesn't end an event.
  expect(['data: one\n', ' \n'].map(halfReadAfter)).toEqual([10, 12]);
  expect(halfReadAfter('\n')).toBe(0);
  for (let sent = 0; sent < 1_000; sent++) expect(halfReadAfter(': keep-alive\n\n')).toBe(0);
});

test.each([
  ['a line without end', 'data: '.padEnd(200, 'x')],
  ['an event of many lines', 'data: x\n'.repeat(200)],
  ['a line without end that is no field', 'x'.repeat(200)],
])('%s is not kept in memory', (_, text) => {
  expect(() => readAll([bytesOf(text)], 100)).toThrow(EventTooLarge);
  const inPieces = Array.from(bytesOf(text), (byte) => Uint8Array.of(byte));
  expect(() => readAll(inPieces, 100)).toThrow(EventTooLarge);
});

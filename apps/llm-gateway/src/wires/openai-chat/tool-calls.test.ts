import { expect, test } from 'vitest';
import { gatewayLimits } from '../../limits.ts';
import { ToolCallMerger } from './tool-calls.ts';
import type { ToolCallPiece } from './tool-calls.ts';

const piece = (rest: Partial<ToolCallPiece>): ToolCallPiece => ({
  id: null,
  index: null,
  name: null,
  arguments: '',
  ...rest,
});

/** Returns the tool calls that the pieces form, as `name(arguments)`. */
function merged(...pieces: Partial<ToolCallPiece>[]): string[] {
  const merger = new ToolCallMerger('acme');
  const calls: { name: string; arguments: string }[] = [];
  for (const delta of [...pieces.map((each) => merger.add(piece(each))), ...merger.finish()]) {
    const call = (calls[delta.call] ??= { name: '', arguments: '' });
    call.name = delta.name ?? call.name;
    call.arguments += delta.arguments;
  }
  return calls.map((call) => `${call.name}(${call.arguments})`);
}

test('pieces are assigned by index, as documented, with id and name in the first piece', () => {
  expect(
    merged(
      { index: 0, id: 'a', name: 'read' },
      { index: 0, arguments: '{"p":' },
      { index: 1, id: 'b', name: 'list' },
      { index: 0, arguments: '1}' },
      { index: 1, arguments: '{}' },
    ),
  ).toEqual(['read({"p":1})', 'list({})']);
});

test('pieces with an id are assigned by id, even if all indices are 0', () => {
  expect(
    merged(
      { index: 0, id: 'a', name: 'read', arguments: '{"p":' },
      { index: 0, id: 'b', name: 'list', arguments: '{' },
      { index: 0, id: 'a', arguments: '1}' },
      { index: 0, id: 'b', arguments: '}' },
    ),
  ).toEqual(['read({"p":1})', 'list({})']);
});

test('pieces are assigned by index if each piece has a new id', () => {
  expect(
    merged(
      { index: 0, id: 'a', name: 'read' },
      { index: 0, id: 'b', arguments: '{"p":' },
      { index: 0, id: 'c', arguments: '1}' },
    ),
  ).toEqual(['read({"p":1})']);
});

test('other pieces are assigned to the latest call', () => {
  expect(merged({ name: 'read', arguments: '{"p":' }, { arguments: '1}' }, { name: 'list', arguments: '{}' })).toEqual([
    'read({"p":1})',
    'list({})',
  ]);
});

test('an id or a name in a later piece belongs to the call, too', () => {
  expect(merged({ index: 0, arguments: '{' }, { index: 0, id: 'a', name: 'read', arguments: '}' })).toEqual([
    'read({})',
  ]);
});

test.each([{ index: 0 }, {}])('whole calls without ids, even identical ones, stay separate (%j)', (at) => {
  const whole = { ...at, name: 'read', arguments: '{"p":1}' };
  expect(merged(whole, whole, { ...at, name: 'list', arguments: '{}' })).toEqual([
    'read({"p":1})',
    'read({"p":1})',
    'list({})',
  ]);
});

test('a name that is repeated with each piece does not begin another call', () => {
  expect(
    merged(
      { index: 0, name: 'read', arguments: '{"p":' },
      { index: 0, name: 'read', arguments: '{}' },
      {
        index: 0,
        name: 'read',
        arguments: '}',
      },
    ),
  ).toEqual(['read({"p":{}})']);
});

test('arguments that are valid JSON do not end the call', () => {
  expect(merged({ index: 0, id: 'a', name: 'say', arguments: '1' }, { index: 0, arguments: '2' })).toEqual(['say(12)']);
  expect(merged({ index: 0, id: 'a', name: 'say', arguments: '{}' }, { index: 0, arguments: ' ' })).toEqual([
    'say({} )',
  ]);
});

test('missing arguments become an empty object', () => {
  expect(merged({ index: 0, id: 'a', name: 'list' }, { index: 1, id: 'b', name: 'todo', arguments: ' ' })).toEqual([
    'list({})',
    'todo( {})',
  ]);
});

test.each<[string, Partial<ToolCallPiece>[]]>([
  [
    'more calls than an answer may have',
    Array.from({ length: gatewayLimits.toolCallsMax + 1 }, (_, index) => ({ index, name: 'x' })),
  ],
  [
    'arguments without end',
    Array.from({ length: 17 }, () => ({ index: 0, name: 'x', arguments: 'x'.repeat(1024 * 1024) })),
  ],
  ['an id without end', [{ id: 'x'.repeat(gatewayLimits.answerIdCharactersMax + 1), name: 'x' }]],
  ['a name without end', [{ id: 'x', name: 'x'.repeat(gatewayLimits.answerNameCharactersMax + 1) }]],
])('%s: an error, before it is kept', (_, pieces) => {
  expect(() => merged(...pieces)).toThrow(expect.objectContaining({ code: 'limit-exceeded' }));
});

test("long arguments are not scanned again with each piece that has the call's name", () => {
  const merger = new ToolCallMerger('acme');
  merger.add(piece({ index: 0, name: 'write', arguments: `{"text":"${'x'.repeat(10_000_000)}` }));
  for (let pieces = 0; pieces < 20_000; pieces++) {
    merger.add(piece({ index: 0, name: 'write', arguments: '}' }));
    expect(merger.areWhole()).toBe(false);
  }
  merger.add(piece({ index: 0, name: 'write', arguments: '"}' }));
  expect(merger.areWhole()).toBe(true);
});

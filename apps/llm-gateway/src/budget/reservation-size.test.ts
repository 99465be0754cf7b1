import { expect, test } from 'vitest';
import { maximumUsage } from './reservation-size.ts';
import { pricesFrom } from './prices.ts';

const price = { model: 'acme/*', input: 1_000, output: 0, cacheWriteInput: 1_250, cacheWriteHourInput: 2_000 };
const prices = pricesFrom({ own: [price], baseUrlOf: () => null });
/** Returns the maximum cost, in billionths of a dollar, of a request with this Messages body and 30 input tokens. */
function reservedFor(body: Record<string, unknown>): number {
  const original = { wire: 'anthropic' as const, body, headers: {} };
  const request = { messages: [], tools: [], settings: {}, bytes: 90, original };
  return maximumUsage({ provider: 'acme', model: 'm', request }, prices)(0).nanoUsd;
}

const user = (...content: object[]) => ({ messages: [{ role: 'user', content }] });
const marked = (ttl: string) => ({ type: 'text', text: 'x', cache_control: { type: 'ephemeral', ttl } });
const places: [place: string, body: (mark: ReturnType<typeof marked>) => Record<string, unknown>][] = [
  ['the body', ({ cache_control }) => ({ ...user(), cache_control })],
  ['what the system says', (mark) => ({ system: [mark] })],
  ['a tool', ({ cache_control }) => ({ tools: [{ name: 'read', input_schema: {}, cache_control }] })],
  ['a block of a message', (mark) => user(mark)],
  ['what a result consists of', (mark) => user({ type: 'tool_result', tool_use_id: 'c', content: [mark] })],
  ['a document', ({ cache_control }) => user({ type: 'document', source: { type: 'file' }, cache_control })],
  ['what a document consists of', (mark) => user({ type: 'document', source: { type: 'content', content: [mark] } })],
];

test.each(places)(
  'the reservation includes the price of caching for an hour if cache_control is at %s',
  (_place, body) => {
    expect(reservedFor(body(marked('1h')))).toBe(30 * 2_000_000);
    expect(reservedFor(body(marked('5m')))).toBe(30 * 1_250_000);
  },
);

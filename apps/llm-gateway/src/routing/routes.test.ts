import { expect, test } from 'vitest';
import { noPrices } from '../budget/prices.ts';
import type { Prices } from '../budget/prices.ts';
import { saying } from '../test-support/says.ts';
import { Routes } from './routes.ts';
import type { Alias } from './routes.ts';

const costs: Readonly<Record<string, number>> = { 'acme/large': 10, 'acme/small': 1, 'other/small': 2 };
const prices: Prices = { ...noPrices, costOf: (provider, model) => costs[`${provider}/${model}`] ?? null };
const candidates = ['acme/large', 'new/unknown', 'other/small', 'new/other', 'acme/small'];
const aliases: Alias[] = [
  { name: 'strong', candidates, strategy: 'order' },
  { name: 'cheap', candidates, strategy: 'price' },
];
const routes = new Routes({ providers: ['acme', 'other', 'new'].map((name) => saying(name)), aliases, prices });
const of = (name: string) => routes.resolve(name).routes.map(({ provider, model }) => `${provider.name}/${model}`);

test('the model of a provider is the rest of the name, including slashes', () => {
  expect(of('acme/large')).toEqual(['acme/large']);
  expect(of('acme/meta/large@x:8b')).toEqual(['acme/meta/large@x:8b']);
});

test('an alias has its candidates as routes, in order or by price, with unknown prices last', () => {
  expect(of('strong')).toEqual(candidates);
  expect(of('cheap')).toEqual(['acme/small', 'other/small', 'acme/large', 'new/unknown', 'new/other']);
});

test('the route of the preferred provider is first', () => {
  expect(of('strong@other')).toEqual(['other/small', 'acme/large', 'new/unknown', 'new/other', 'acme/small']);
  expect(of('cheap@acme')).toEqual(['acme/small', 'acme/large', 'other/small', 'new/unknown', 'new/other']);
});

test('the error states if no alias is configured', () => {
  const without = new Routes({ providers: [saying('acme')], aliases: [], prices });
  expect(() => without.resolve('fast')).toThrow(
    'no alias is configured: aliases are in the file that COPPICE_GATEWAY_CONFIG names',
  );
});

test.each([
  ['acme', 'expected provider/model with one of the providers acme, other, new, or one of the aliases strong, cheap'],
  ['acme/', 'model "acme/": expected provider/model'],
  ['none/model', 'model "none/model"'],
  ['strange', 'one of the aliases strong, cheap'],
  ['strong@none', "expected strong@ with one of the alias's providers acme, new, other"],
])('no provider has %s', (name, message) => {
  expect(() => routes.resolve(name)).toThrow(message);
  expect(() => routes.resolve(name)).toThrow(expect.objectContaining({ code: 'model-not-found' }));
});

import { expect, test } from 'vitest';
import { pricesFrom } from './prices.ts';
import type { OwnPrice } from './prices.ts';

const addresses: Readonly<Record<string, string>> = {
  openai: 'https://api.openai.com/v1',
  claude: 'https://api.anthropic.com',
  local: 'http://127.0.0.1:11434/v1',
};
const pricesWith = (...own: OwnPrice[]) => pricesFrom({ own, baseUrlOf: (provider) => addresses[provider] ?? null });
const million = 1_000_000;

test('the list knows a vendor by its address, whatever the provider is called', () => {
  const prices = pricesWith();
  const cost = prices.costOf('claude', 'claude-haiku-4-5', { inputTokens: 1_000, outputTokens: 100 });
  expect(cost).toBeCloseTo(0.0015, 10);
});

test.each([
  ['a model that runs elsewhere', 'local', 'gpt-5-mini'],
  ['a provider that is not asked over HTTP', 'scripted', 'gpt-5-mini'],
  ['a model that the list does not know', 'openai', 'no-such-model'],
])('of %s the price is not known', (_, provider, model) => {
  expect(pricesWith().costOf(provider, model, { inputTokens: 5 })).toBeNull();
});

test.each([
  ['local', 'gpt-5-mini', 'since it is asked at 127.0.0.1:11434, not at a vendor of the price list'],
  ['openai', 'no-such-model', "since its vendor's price list doesn't name it"],
  ['scripted', 'gpt-5-mini', ''],
])('why the price of %s/%s is not known is told', (provider, model, why) => {
  expect(pricesWith().whyUnknown(provider, model)).toBe(why);
});

test('cached tokens, read and written, have prices of their own, and are counted once', () => {
  const cost = (usage: object) => pricesWith().costOf('claude', 'claude-haiku-4-5', usage) ?? Number.NaN;
  const plain = cost({ inputTokens: 1_000 });
  expect(cost({ inputTokens: 1_000, cachedInputTokens: 1_000 })).toBeCloseTo(plain / 10, 10);
  expect(cost({ inputTokens: 1_000, cacheWriteInputTokens: 1_000 })).toBeCloseTo(plain * 1.25, 10);
  expect(cost({ inputTokens: 1_000, cachedInputTokens: 500 })).toBeCloseTo(plain * 0.55, 10);
});

test('reasoning is a part of the output', () => {
  const cost = (usage: object) => pricesWith().costOf('openai', 'gpt-5-mini', usage);
  expect(cost({ outputTokens: 100, reasoningTokens: 80 })).toBe(cost({ outputTokens: 100 }));
});

test('counts that contradict each other cost what the whole may cost', () => {
  const usage = { inputTokens: 10, cachedInputTokens: 50, cacheWriteInputTokens: 5 };
  const all = { inputTokens: 10, cachedInputTokens: 10 };
  for (const prices of [pricesWith(), pricesWith({ model: '*', input: 1, output: 2 })])
    expect(prices.costOf('openai', 'gpt-5-mini', usage)).toBe(prices.costOf('openai', 'gpt-5-mini', all));
});

test('what a provider says that it cost counts more than the list, and less than an own price', () => {
  const usage = { inputTokens: million, costUsd: 0.123 };
  expect(pricesWith().costOf('openai', 'gpt-5-mini', usage)).toBe(0.123);
  expect(pricesWith().costOf('local', 'no-such-model', usage)).toBe(0.123);
  expect(pricesWith({ model: 'openai/*', input: 7, output: 7 }).costOf('openai', 'gpt-5-mini', usage)).toBe(7);
});

test('own prices count more than the list, the first that fits', () => {
  const prices = pricesWith(
    { model: 'openai/gpt-5-*', input: 1, output: 4, cachedInput: 0.5, cacheWriteInput: 2 },
    { model: '*/gpt-5-mini', input: 7, output: 7 },
  );
  const usage = {
    inputTokens: million,
    cachedInputTokens: million / 2,
    cacheWriteInputTokens: million / 4,
    outputTokens: million,
  };
  expect(prices.costOf('openai', 'gpt-5-mini', usage)).toBe(0.25 + 0.25 + 0.5 + 4);
  expect(prices.costOf('local', 'gpt-5-mini', { inputTokens: million })).toBe(7);
  expect(prices.costOf('local', 'gpt-5-mini.x', { inputTokens: million })).toBeNull();
});

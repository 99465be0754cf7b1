import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { UsageSoFar } from '../provider/port.ts';
import { pricesFrom } from './prices.ts';
import type { OwnPrice, Prices } from './prices.ts';

const addresses: Readonly<Record<string, string>> = {
  openai: 'https://api.openai.com/v1',
  claude: 'https://api.anthropic.com',
  gemini: 'https://generativelanguage.googleapis.com',
  local: 'http://127.0.0.1:11434/v1',
};
const pricesWith = (...own: OwnPrice[]) => pricesFrom({ own, baseUrlOf: (provider) => addresses[provider] ?? null });
const million = 1_000_000;

test("the price list finds a vendor by address, whatever the provider's name", () => {
  const prices = pricesWith();
  const cost = prices.costOf('claude', 'claude-haiku-4-5', { inputTokens: 1_000, outputTokens: 100 });
  expect(cost).toBeCloseTo(0.0015, 10);
});

test.each([
  ['a model that runs elsewhere', 'local', 'gpt-5-mini'],
  ['a provider that is not reached over HTTP', 'scripted', 'gpt-5-mini'],
  ['a model that the list does not know', 'openai', 'no-such-model'],
])('the price of %s is not known', (_, provider, model) => {
  expect(pricesWith().costOf(provider, model, { inputTokens: 5 })).toBeNull();
});

test.each([
  ['local', 'gpt-5-mini', 'since its requests go to 127.0.0.1:11434, not at a vendor of the price list'],
  ['openai', 'no-such-model', "since its vendor's price list doesn't name it"],
  ['scripted', 'gpt-5-mini', ''],
])('the reason for the unknown price of %s/%s is reported', (provider, model, why) => {
  expect(pricesWith().whyUnknown(provider, model)).toBe(why);
});

test('tokens read from the cache and written to it have their own prices, and are counted once', () => {
  const cost = (usage: object) => pricesWith().costOf('claude', 'claude-haiku-4-5', usage) ?? Number.NaN;
  const plain = cost({ inputTokens: 1_000 });
  expect(cost({ inputTokens: 1_000, cachedInputTokens: 1_000 })).toBeCloseTo(plain / 10, 10);
  expect(cost({ inputTokens: 1_000, cacheWriteInputTokens: 1_000 })).toBeCloseTo(plain * 1.25, 10);
  expect(cost({ inputTokens: 1_000, cachedInputTokens: 500 })).toBeCloseTo(plain * 0.55, 10);
});

test('caching for an hour costs more than caching for five minutes', () => {
  const usage = { inputTokens: million, cacheWriteInputTokens: 100_000, cacheWriteHourInputTokens: 60_000 };
  const plain = { inputTokens: million - 100_000 };
  const costs = (prices: Prices, more: object) => prices.costOf('claude', 'claude-haiku-4-5', more) ?? Number.NaN;
  const listed = pricesWith();
  expect(costs(listed, usage) - costs(listed, plain)).toBeCloseTo(0.04 * 1.25 + 0.06 * 2, 10);
  const own = { model: 'claude/*', input: 3, output: 15, cacheWriteInput: 4 };
  expect(costs(pricesWith({ ...own, cacheWriteHourInput: 6 }), usage)).toBeCloseTo(2.7 + 0.16 + 0.36, 10);
  expect(costs(pricesWith(own), usage)).toBeCloseTo(2.7 + 0.4, 10);
});

test('audio and images have their own prices', () => {
  const cost = (model: string, usage: object) => pricesWith().costOf('gemini', model, usage);
  const sound = { inputTokens: 100_000, audioInputTokens: 80_000 };
  expect(cost('gemini-2.5-flash', sound)).toBeCloseTo(0.08 + 0.006, 10);
  // 20,000 input tokens aren't audio, so at least 30,000 of the 50,000 cached tokens are audio.
  const cached = { ...sound, cachedInputTokens: 50_000 };
  expect(cost('gemini-2.5-flash', cached)).toBeCloseTo(0.05 + 0.003 + 0.0006, 10);
  expect(cost('gemini-2.5-flash', { ...cached, cachedAudioInputTokens: 50_000 })).toBeCloseTo(0.03 + 0.005 + 0.006, 10);
  expect(cost('gemini-2.5-flash-image', { outputTokens: 1_300, imageOutputTokens: 1_290 })).toBeCloseTo(0.038725, 10);
  expect(pricesWith().costOf('openai', 'gpt-audio', { outputTokens: million, audioOutputTokens: million })).toBe(64);
  const own = pricesWith({ model: '*', input: 1, output: 2, audioInput: 10, cachedInput: 0.1 });
  expect(own.costOf('local', 'm', cached)).toBeCloseTo(0.5 + 0.005, 10);
});

test.each([
  ['claude', 'claude-haiku-4-5'],
  ['gemini', 'gemini-2.5-flash'],
  ['gemini', 'gemini-2.5-flash-image'],
  ['openai', 'gpt-audio'],
  ['openai', 'gpt-5-mini'],
])('every count of %s/%s has a price', (provider, model) => {
  const count = fc.option(fc.nat(100), { nil: undefined });
  const counts = fc.record({
    inputTokens: fc.nat(100),
    outputTokens: fc.nat(100),
    cachedInputTokens: count,
    cacheWriteInputTokens: count,
    cacheWriteHourInputTokens: count,
    audioInputTokens: count,
    cachedAudioInputTokens: count,
    audioOutputTokens: count,
    imageOutputTokens: count,
  });
  const prices = pricesWith();
  const own = pricesWith({ model: '*', input: 1, output: 1 });
  fc.assert(
    fc.property(counts, (usage) => {
      const known = usage as UsageSoFar;
      expect(prices.costOf(provider, model, known)).toBeGreaterThanOrEqual(0);
      const all = (usage.inputTokens + usage.outputTokens) / million;
      expect(own.costOf(provider, model, known)).toBeCloseTo(all, 10);
    }),
  );
});

test('reasoning is charged as a part of the output', () => {
  const cost = (usage: object) => pricesWith().costOf('openai', 'gpt-5-mini', usage);
  expect(cost({ outputTokens: 100, reasoningTokens: 80 })).toBe(cost({ outputTokens: 100 }));
});

test('counts that contradict each other are charged at the highest possible cost', () => {
  const usage = { inputTokens: 10, cachedInputTokens: 50, cacheWriteInputTokens: 5 };
  const all = { inputTokens: 10, cachedInputTokens: 10 };
  for (const prices of [pricesWith(), pricesWith({ model: '*', input: 1, output: 2 })])
    expect(prices.costOf('openai', 'gpt-5-mini', usage)).toBe(prices.costOf('openai', 'gpt-5-mini', all));
});

test('a cost that the provider reports takes precedence over the list, and a configured price over both', () => {
  const usage = { inputTokens: million, costUsd: 0.123 };
  expect(pricesWith().costOf('openai', 'gpt-5-mini', usage)).toBe(0.123);
  expect(pricesWith().costOf('local', 'no-such-model', usage)).toBe(0.123);
  expect(pricesWith({ model: 'openai/*', input: 7, output: 7 }).costOf('openai', 'gpt-5-mini', usage)).toBe(7);
});

test('configured prices take precedence over the list, and the first match counts', () => {
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

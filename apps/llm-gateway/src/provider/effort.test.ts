import { expect, test } from 'vitest';
import { openAiEffort } from './effort.ts';

test.each([
  [1, 'low'],
  [2_048, 'low'],
  [2_049, 'medium'],
  [8_192, 'medium'],
  [8_193, 'high'],
])('a budget of %i tokens is the level %s', (budgetTokens, effort) => {
  expect(openAiEffort('any', { budgetTokens })).toBe(effort);
});

test.each([
  ['gpt-5.1', 'none'],
  ['qwen3', 'none'],
  ['gpt-5', 'minimal'],
  ['gpt-5-mini-2025-08-07', 'minimal'],
  ['gpt-5-codex', 'low'],
  ['o4-mini', 'low'],
])('%s without thinking gets %s, which it accepts', (model, effort) => {
  expect(openAiEffort(model, { budgetTokens: 0 })).toBe(effort);
  expect(openAiEffort(model, { effort: 'none' })).toBe(effort);
});

test.each(['gpt-4o-mini', 'ft:gpt-4.1', 'gpt-5-chat-latest'])('%s, which does not think, gets no level', (model) => {
  expect(openAiEffort(model, { budgetTokens: 9_000 })).toBeNull();
  expect(openAiEffort(model, { effort: 'none' })).toBeNull();
});

test('no level is sent if none is set', () => {
  expect(openAiEffort('gpt-5', undefined)).toBeNull();
});

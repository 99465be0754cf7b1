/** Tests model names without a provider, which the vendors' clients use. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { end, saying, text } from '../../test-support/says.ts';
import { grant, startTestFacade, token } from './test-support/start-facade.ts';
import type { TestFacade } from './test-support/start-facade.ts';

const providers = () => [saying('openai', [text('hello'), end]), saying('anthropic', [text('hello'), end])];
let free: TestFacade;
let narrow: TestFacade;
beforeAll(async () => {
  free = await startTestFacade({ providers: providers() });
  narrow = await startTestFacade({
    grant: { ...grant, models: ['gpt-x', 'anthropic/claude-x'] },
    providers: providers(),
  });
});
afterAll(async () => {
  await free[Symbol.asyncDispose]();
  await narrow[Symbol.asyncDispose]();
});

const headers = { authorization: `Bearer ${token}` };
const callStatus = async ({ url }: TestFacade, model: string) => {
  const body = JSON.stringify({ model, messages: [{ role: 'user', content: 'hi' }] });
  return (await fetch(`${url}/v1/chat/completions`, { method: 'POST', headers, body })).status;
};
const lookUpStatus = async ({ url }: TestFacade, model: string, more: Record<string, string> = {}) =>
  (await fetch(`${url}/v1/models/${model}`, { headers: { ...headers, ...more } })).status;
const claudes = { 'anthropic-version': '2023-06-01' };

test('a model that can be called can also be looked up', async () => {
  expect([await callStatus(free, 'gpt-x'), await lookUpStatus(free, 'gpt-x')]).toEqual([200, 200]);
  expect(await lookUpStatus(free, 'claude-x', claudes)).toBe(200);
  expect(await lookUpStatus(free, 'none/gpt-x')).toBe(404);
});

test("a token for a model allows both forms of its name at the endpoint of the model's vendor", async () => {
  expect([await callStatus(narrow, 'gpt-x'), await lookUpStatus(narrow, 'gpt-x')]).toEqual([200, 200]);
  expect(await lookUpStatus(narrow, 'claude-x', claudes)).toBe(200);
  expect([await callStatus(narrow, 'gpt-y'), await lookUpStatus(narrow, 'gpt-y')]).toEqual([403, 404]);
  // At this endpoint, a name without a provider means a model of another vendor.
  expect([await callStatus(narrow, 'claude-x'), await lookUpStatus(narrow, 'claude-x')]).toEqual([403, 404]);
});

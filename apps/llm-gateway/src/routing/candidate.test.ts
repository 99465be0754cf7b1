/** Tests the errors of a call whose candidates failed or could not be tried. */
import { CoppiceError } from '@coppice/contracts';
import { expect, test } from 'vitest';
import { httpProvider } from '../transport/provider.ts';
import type { Provider } from '../provider/port.ts';
import { completeCall } from '../test-support/call-exchange.ts';
import { providerServerAt } from '../test-support/attempt.ts';
import { saying } from '../test-support/says.ts';
import { prepareExchanges } from './collaborators.ts';
import { exchangeLimits } from './limits.ts';

const overloaded = new CoppiceError('provider-failed', `overloaded ${'x'.repeat(10_000)}`, {
  retryable: true,
  details: { status: 503 },
});
const limited = new CoppiceError('provider-limited', 'slow down', {
  retryable: true,
  details: { retryAfterMs: 30_000 },
});

/** Creates a provider that always fails with this error. `wire` makes it count as a provider over a network. */
const failing = (name: string, error: CoppiceError) => {
  const provider = saying(name, [error]);
  return Object.assign(provider, { wire: 'openai-chat' as const });
};
const keyless = httpProvider({
  ...providerServerAt('http://127.0.0.1:9'),
  name: 'keyless',
  key: null,
  keyRequired: 'A_KEY',
});

function prepare(providers: readonly Provider[], candidates: readonly string[] = []) {
  const aliases = candidates.length === 0 ? [] : [{ name: 'fast', candidates, strategy: 'order' as const }];
  const exchanges = prepareExchanges({ providers, aliases, retry: { pauseMsMin: 1, pauseMsMax: 2 } });
  const call = async (model: string, tenant = 'default') => {
    const signal = new AbortController().signal;
    const context = { owner: { tenant, runId: 'r1', taskId: 't1' }, effectId: 'task_t1_1_1', signal };
    const { error, result } = await completeCall(exchanges, { model, candidateWaitMsMax: 1_000, context });
    return { error: error as CoppiceError, result };
  };
  return { exchanges, call };
}

test('the error of a model on cool-down states the reason, and the provider’s message only to the tenant that caused it', async () => {
  const acme = failing('acme', overloaded);
  const { call } = prepare([acme]);
  const details = { failing: true, retryAfterMs: expect.any(Number) as unknown };
  const failed = { retryable: true, details: { failing: true, status: 503 } };
  for (let calls = 0; calls < 3; calls++) expect((await call('acme/one')).error).toMatchObject(failed);
  const { error, result } = await call('acme/one');
  expect(error).toMatchObject({ retryable: true, details });
  expect(error.message).toMatch(
    /^acme\/one is on cool-down for another \d+ s: it failed again and again, last with: over/,
  );
  expect(error.message.length).toBeLessThan(2 * exchangeLimits.lastFailureCharactersMax);
  expect(result.attempts).toEqual([]);
  expect(acme.requests).toHaveLength(4 + 4 + 1);
  // If only one tenant's calls fail, its requests may be the reason. If the calls of two tenants fail, the reason must
  // be the model.
  for (let calls = 0; calls < 2; calls++) expect((await call('acme/one', 'another')).error).toMatchObject(failed);
  expect((await call('acme/one', 'a-third')).error.message).toMatch(/again and again, last with: HTTP 503$/);
  expect(acme.requests).toHaveLength(9 + 4 + 1);
});

test('a limit without a stated wait also applies to the next caller, and its error has the time until the next request', async () => {
  const error = new CoppiceError('provider-limited', 'slow down', { retryable: true, details: { status: 429 } });
  const { call } = prepare([failing('acme', error)]);
  for (let calls = 0; calls < 3; calls++) await call('acme/one');
  expect((await call('acme/one')).error).toMatchObject({
    code: 'provider-limited',
    retryable: true,
    message: expect.stringMatching(/last with: slow down$/) as unknown,
    details: { retryAfterMs: expect.any(Number) as unknown },
  });
});

test('a failure that another gateway reported has no reason in the error', async () => {
  const { exchanges, call } = prepare([failing('acme', overloaded)]);
  exchanges.health.learn({ provider: 'acme', model: 'one', state: 'open', forMs: 60_000 });
  expect((await call('acme/one')).error.message).toMatch(/it failed again and again$/);
});

test('an alias counts as failing if all of its models are failing', async () => {
  const { call } = prepare([failing('acme', overloaded), failing('other', overloaded)], ['acme/one', 'other/two']);
  expect((await call('fast')).error).toMatchObject({ retryable: true, details: { failing: true } });
  const mixed = prepare([failing('acme', overloaded), failing('slow', limited)], ['acme/one', 'slow/two']);
  const { error } = await mixed.call('fast');
  expect(error).toMatchObject({ retryable: true, details: { retryAfterMs: expect.any(Number) as unknown } });
  expect(error.details).not.toHaveProperty('failing');
});

test('a provider without a key gets no request, and the result does not name it', async () => {
  const { call } = prepare([keyless, failing('other', overloaded)], ['other/two', 'keyless/one']);
  const { error, result } = await call('keyless/one');
  expect(error).toMatchObject({
    code: 'provider-failed',
    message: 'there is no key for keyless: set A_KEY and restart the stack (coppice down, coppice up)',
  });
  expect(result).toMatchObject({ provider: null, model: null, attempts: [] });
  const failed = await call('fast');
  expect(failed.result).toMatchObject({ provider: 'other', model: 'two' });
  expect(new Set(failed.result.attempts.map(({ provider }) => provider))).toEqual(new Set(['other']));
});

/** Errors of a call whose candidates could not be used, or failed. */
import { CoppiceError } from '@coppice/contracts';
import { expect, test } from 'vitest';
import { httpProvider } from '../transport/provider.ts';
import type { Provider } from '../provider/port.ts';
import { hear } from '../test-support/ask-exchange.ts';
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

/** One that always fails with this, as over a network. */
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
  const ask = async (model: string, tenant = 'default') => {
    const signal = new AbortController().signal;
    const context = { owner: { tenant, runId: 'r1', taskId: 't1' }, effectId: 'task_t1_1_1', signal };
    const { error, result } = await hear(exchanges, { model, patienceMs: 1_000, context });
    return { error: error as CoppiceError, result };
  };
  return { exchanges, ask };
}

test('of one that failed again and again each is told why; in its words whoever asked it', async () => {
  const acme = failing('acme', overloaded);
  const { ask } = prepare([acme]);
  const details = { failing: true, retryAfterMs: expect.any(Number) as unknown };
  const inVain = { retryable: true, details: { failing: true, status: 503 } };
  for (let calls = 0; calls < 3; calls++) expect((await ask('acme/one')).error).toMatchObject(inVain);
  const { error, result } = await ask('acme/one');
  expect(error).toMatchObject({ retryable: true, details });
  expect(error.message).toMatch(
    /^acme\/one is not asked for another \d+ s: it failed again and again, last with: over/,
  );
  expect(error.message.length).toBeLessThan(2 * exchangeLimits.lastFailureCharactersMax);
  expect(result.attempts).toEqual([]);
  expect(acme.asked).toHaveLength(4 + 4 + 1);
  // What one tenant asks may be the reason; what two ask isn't.
  for (let calls = 0; calls < 2; calls++) expect((await ask('acme/one', 'another')).error).toMatchObject(inVain);
  expect((await ask('acme/one', 'a-third')).error.message).toMatch(/again and again, last with: HTTP 503$/);
  expect(acme.asked).toHaveLength(9 + 4 + 1);
});

test('a limit that says nothing of a wait is one for the next caller, too, with the time until it is asked again', async () => {
  const error = new CoppiceError('provider-limited', 'slow down', { retryable: true, details: { status: 429 } });
  const { ask } = prepare([failing('acme', error)]);
  for (let calls = 0; calls < 3; calls++) await ask('acme/one');
  expect((await ask('acme/one')).error).toMatchObject({
    code: 'provider-limited',
    retryable: true,
    message: expect.stringMatching(/last with: slow down$/) as unknown,
    details: { retryAfterMs: expect.any(Number) as unknown },
  });
});

test('what another gateway told of is told without a reason', async () => {
  const { exchanges, ask } = prepare([failing('acme', overloaded)]);
  exchanges.health.learn({ provider: 'acme', model: 'one', state: 'open', forMs: 60_000 });
  expect((await ask('acme/one')).error.message).toMatch(/it failed again and again$/);
});

test('an alias has failed again and again where all of its models have', async () => {
  const { ask } = prepare([failing('acme', overloaded), failing('other', overloaded)], ['acme/one', 'other/two']);
  expect((await ask('fast')).error).toMatchObject({ retryable: true, details: { failing: true } });
  const mixed = prepare([failing('acme', overloaded), failing('slow', limited)], ['acme/one', 'slow/two']);
  const { error } = await mixed.ask('fast');
  expect(error).toMatchObject({ retryable: true, details: { retryAfterMs: expect.any(Number) as unknown } });
  expect(error.details).not.toHaveProperty('failing');
});

test('one without a key was not asked, and is not named as who was', async () => {
  const { ask } = prepare([keyless, failing('other', overloaded)], ['other/two', 'keyless/one']);
  const { error, result } = await ask('keyless/one');
  expect(error).toMatchObject({
    code: 'provider-failed',
    message: 'keyless needs a key: set A_KEY and restart the gateway (coppice down, coppice up)',
  });
  expect(result).toMatchObject({ provider: null, model: null, attempts: [] });
  const failed = await ask('fast');
  expect(failed.result).toMatchObject({ provider: 'other', model: 'two' });
  expect(new Set(failed.result.attempts.map(({ provider }) => provider))).toEqual(new Set(['other']));
});

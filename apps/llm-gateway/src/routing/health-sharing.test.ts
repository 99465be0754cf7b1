import { Bus } from '@coppice/bus';
import { CoppiceError, subjects } from '@coppice/contracts';
import { startNatsServer } from '@coppice/testing';
import type { NatsServer } from '@coppice/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Provider } from '../provider/port.ts';
import { hear } from '../test-support/ask-exchange.ts';
import { end, saying, text } from '../test-support/says.ts';
import { prepareExchanges } from './collaborators.ts';
import { HealthSharing } from './health-sharing.ts';

/** Gateways on a real server, as far as they tell each other of their providers. */
const overloaded = new CoppiceError('provider-failed', 'overloaded', { retryable: true });
const aliases = [{ name: 'fast', candidates: ['acme/one', 'other/two'], strategy: 'order' as const }];

let nats: NatsServer;
const endings: (() => Promise<void>)[] = [];
beforeAll(async () => {
  nats = await startNatsServer({ auth: true });
});
afterAll(async () => {
  for (const stop of endings) await stop();
  await nats.stop();
});

const overHttp = { wire: 'openai-chat' as const };

/** `acme` fails until it is said to work. */
async function startGateway(name: string) {
  const bus = await Bus.connect({ ...nats.connection, name });
  const state = { works: false, passedMs: 0 };
  const failing = saying('acme', [overloaded]);
  const working = saying('acme', [text('from acme'), end]);
  const acme: Provider = {
    ...failing,
    ...overHttp,
    stream: (...asked) => (state.works ? working : failing).stream(...asked),
  };
  const other: Provider = { ...saying('other', [text('from other'), end]), ...overHttp };
  const sharing = new HealthSharing(bus, name);
  const exchanges = prepareExchanges({
    providers: [acme, other],
    aliases,
    retry: { pauseMsMin: 1, pauseMsMax: 2 },
    now: () => performance.now() + state.passedMs,
    tell: (news) => sharing.tell(news),
  });
  const deaf = sharing.hear((news) => exchanges.health.learn(news));
  await bus.flush();
  endings.push(async () => {
    deaf();
    await bus.close();
  });
  const ask = async () => (await hear(exchanges, { model: 'fast' })).text;
  return { bus, state, exchanges, ask, timesAsked: () => failing.asked.length + working.asked.length };
}

const place = { provider: 'acme', model: 'one' };

test('what one gateway learns by failing, the others needn’t, and they hear when it works again', async () => {
  const [one, another] = await Promise.all([startGateway('one'), startGateway('another')]);
  for (let calls = 0; calls < 3; calls++) expect(await one.ask()).toBe('from other');
  expect(one.timesAsked()).toBe(3);
  await expect
    .poll(() => another.exchanges.health.look(place, 'default'))
    .toMatchObject({ admitted: false, why: 'failing' });
  expect(await another.ask()).toBe('from other');
  expect(another.timesAsked()).toBe(0);

  one.state.works = true;
  another.state.works = true;
  one.state.passedMs = 60_000;
  expect(await one.ask()).toBe('from acme');
  await expect.poll(() => another.exchanges.health.look(place, 'default')).toEqual({ admitted: true, probe: false });
  expect(await another.ask()).toBe('from acme');
});

test('what one tenant’s calls alone failed with is told as its own', async () => {
  const [one, another] = await Promise.all([startGateway('tenant-one'), startGateway('tenant-another')]);
  for (let calls = 0; calls < 3; calls++) await one.ask();
  await expect.poll(() => another.exchanges.health.look(place, 'default')).toMatchObject({ admitted: false });
  expect(another.exchanges.health.look(place, 'other')).toEqual({ admitted: true, probe: false });
});

test('a cool-down is shared, and no longer than the bound, whatever is told', async () => {
  const [one, another] = await Promise.all([startGateway('cooling-one'), startGateway('cooling-another')]);
  one.exchanges.health.coolDown(place, 30_000);
  await expect.poll(() => another.exchanges.health.look(place, 'default')).toMatchObject({ why: 'cooling' });
  const tell = (message: object) =>
    one.bus.publishCore(subjects.gatewayHealth, { ...place, from: 'somebody', ...message });
  tell({ state: 'cooling', forMs: Number.MAX_SAFE_INTEGER });
  tell({ state: 'open', forMs: Number.MAX_SAFE_INTEGER });
  await expect.poll(() => another.exchanges.health.unavailable()).toHaveLength(1);
  another.state.passedMs = 60 * 60_000;
  await expect.poll(() => another.exchanges.health.look(place, 'default').admitted).toBe(true);
});

test('what is not understood changes nothing, nor does what a gateway told itself', async () => {
  const one = await startGateway('unmoved');
  one.bus.publishCore(subjects.gatewayHealth, new TextEncoder().encode('{"provider": '));
  one.bus.publishCore(subjects.gatewayHealth, { ...place, state: 'open', forMs: -1, from: 'somebody' });
  one.bus.publishCore(subjects.gatewayHealth, { ...place, state: 'open', forMs: 60_000, from: 'unmoved' });
  // The last of them is seen by then.
  one.bus.publishCore(subjects.gatewayHealth, {
    provider: 'acme',
    model: 'last',
    state: 'open',
    forMs: 60_000,
    from: 'somebody',
  });
  await expect
    .poll(() => one.exchanges.health.unavailable())
    .toEqual([{ provider: 'acme', model: 'last', why: 'failing' }]);
});

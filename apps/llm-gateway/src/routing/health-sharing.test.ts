import { Bus } from '@coppice/bus';
import { CoppiceError, subjects } from '@coppice/contracts';
import { startNatsServer } from '@coppice/testing';
import type { NatsServer } from '@coppice/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Provider } from '../provider/port.ts';
import { completeCall } from '../test-support/call-exchange.ts';
import { end, saying, text } from '../test-support/says.ts';
import { prepareExchanges } from './collaborators.ts';
import { HealthSharing } from './health-sharing.ts';

/** Tests how gateways on a real NATS server share the health of their providers. */
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

/** Starts a gateway whose provider `acme` fails until the test makes it work. */
async function startGateway(name: string) {
  const bus = await Bus.connect({ ...nats.connection, name });
  const state = { works: false, passedMs: 0 };
  const failing = saying('acme', [overloaded]);
  const working = saying('acme', [text('from acme'), end]);
  const acme: Provider = {
    ...failing,
    ...overHttp,
    stream: (...request) => (state.works ? working : failing).stream(...request),
  };
  const other: Provider = { ...saying('other', [text('from other'), end]), ...overHttp };
  const sharing = new HealthSharing(bus, name);
  const exchanges = prepareExchanges({
    providers: [acme, other],
    aliases,
    retry: { pauseMsMin: 1, pauseMsMax: 2 },
    now: () => performance.now() + state.passedMs,
    notify: (news) => sharing.publish(news),
  });
  const unsubscribe = sharing.subscribe((news) => exchanges.health.learn(news));
  await bus.flush();
  endings.push(async () => {
    unsubscribe();
    await bus.close();
  });
  const call = async () => (await completeCall(exchanges, { model: 'fast' })).text;
  return { bus, state, exchanges, call, requestCount: () => failing.requests.length + working.requests.length };
}

const place = { provider: 'acme', model: 'one' };

test('a gateway shares the failure of a model with the others, and its recovery', async () => {
  const [one, another] = await Promise.all([startGateway('one'), startGateway('another')]);
  for (let calls = 0; calls < 3; calls++) expect(await one.call()).toBe('from other');
  expect(one.requestCount()).toBe(3);
  await expect
    .poll(() => another.exchanges.health.look(place, 'default'))
    .toMatchObject({ admitted: false, why: 'failing' });
  expect(await another.call()).toBe('from other');
  expect(another.requestCount()).toBe(0);

  one.state.works = true;
  another.state.works = true;
  one.state.passedMs = 60_000;
  expect(await one.call()).toBe('from acme');
  await expect.poll(() => another.exchanges.health.look(place, 'default')).toEqual({ admitted: true, probe: false });
  expect(await another.call()).toBe('from acme');
});

test("failures of only one tenant's calls are shared for that tenant only", async () => {
  const [one, another] = await Promise.all([startGateway('tenant-one'), startGateway('tenant-another')]);
  for (let calls = 0; calls < 3; calls++) await one.call();
  await expect.poll(() => another.exchanges.health.look(place, 'default')).toMatchObject({ admitted: false });
  expect(another.exchanges.health.look(place, 'other')).toEqual({ admitted: true, probe: false });
});

test('a cool-down is shared, and is never longer than the limit, whatever a message states', async () => {
  const [one, another] = await Promise.all([startGateway('cooling-one'), startGateway('cooling-another')]);
  one.exchanges.health.coolDown(place, 30_000);
  await expect.poll(() => another.exchanges.health.look(place, 'default')).toMatchObject({ why: 'cooling' });
  const publish = (message: object) =>
    one.bus.publishCore(subjects.gatewayHealth, { ...place, from: 'somebody', ...message });
  publish({ state: 'cooling', forMs: Number.MAX_SAFE_INTEGER });
  publish({ state: 'open', forMs: Number.MAX_SAFE_INTEGER });
  await expect.poll(() => another.exchanges.health.unavailable()).toHaveLength(1);
  another.state.passedMs = 60 * 60_000;
  await expect.poll(() => another.exchanges.health.look(place, 'default').admitted).toBe(true);
});

test("an invalid message and a gateway's own message change nothing", async () => {
  const one = await startGateway('unmoved');
  one.bus.publishCore(subjects.gatewayHealth, new TextEncoder().encode('{"provider": '));
  one.bus.publishCore(subjects.gatewayHealth, { ...place, state: 'open', forMs: -1, from: 'somebody' });
  one.bus.publishCore(subjects.gatewayHealth, { ...place, state: 'open', forMs: 60_000, from: 'unmoved' });
  // When this message has arrived, the earlier messages have arrived, too.
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

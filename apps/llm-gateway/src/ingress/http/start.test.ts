import { Bus } from '@coppice/bus';
import { gatewayCalls } from '@coppice/contracts';
import type { TokenGrant } from '@coppice/contracts';
import { startService } from '@coppice/service';
import type { StartedService } from '@coppice/service';
import { startNatsServer } from '@coppice/testing';
import type { NatsServer } from '@coppice/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startLlmGateway } from '../../service.ts';
import { providerServerAt } from '../../test-support/attempt.ts';
import { playStream, startModelServer, textStream } from '../../test-support/model-server.ts';
import type { ModelServer } from '../../test-support/model-server.ts';

let nats: NatsServer;
let bus: Bus;
let upstream: ModelServer;
const gateways: StartedService[] = [];
beforeAll(async () => {
  nats = await startNatsServer();
  bus = await Bus.connect({ ...nats.connection, name: 'test' });
  await bus.ensureResources();
  upstream = await startModelServer();
});
afterAll(async () => {
  await Promise.all(gateways.map((gateway) => gateway.stop()));
  await upstream.close();
  await bus.close();
  await nats.stop();
});

async function startGateway(): Promise<StartedService> {
  const gateway = await startService({
    name: 'llm-gateway',
    version: '1.0.0',
    node: 'here',
    connection: nats.connection,
    start: (context) =>
      startLlmGateway(context, {
        providerServers: [providerServerAt(upstream.baseUrl)],
        httpAddresses: [{ host: '127.0.0.1', port: 0 }],
      }),
  });
  gateways.push(gateway);
  return gateway;
}

const grant: TokenGrant = { tenant: 'default', runId: '', taskId: '' };
const mint = () => bus.call(gatewayCalls.mintToken, { service: 'llm-gateway' }, { grant, ttlMs: 60_000 });

function send(address: string | undefined, token: string): Promise<Response> {
  return fetch(`${address}/v1/messages`, {
    method: 'POST',
    headers: { 'x-api-key': token },
    body: JSON.stringify({ model: 'acme/acme-1', max_tokens: 10, messages: [{ role: 'user', content: 'hi' }] }),
  });
}

test('a token that one gateway created is valid at another, even after the first one has stopped', async () => {
  upstream.play(playStream(textStream('hello')));
  const first = await startGateway();
  const { token, addresses, expiresAt } = await mint();
  expect(Date.parse(expiresAt)).toBeGreaterThan(Date.now());
  const answer = await send(addresses[0], token);
  expect(await answer.json()).toMatchObject({ type: 'message', content: [{ type: 'text', text: 'hello' }] });
  await first.stop();
  await startGateway();
  const second = (await mint()).addresses[0];
  expect(second).not.toBe(addresses[0]);
  expect((await send(second, token)).status).toBe(200);
  expect((await send(second, `${token}x`)).status).toBe(401);
});

test('a call with a token whose limit is used up gets the vendor’s error, without a request to a provider', async () => {
  await startGateway();
  upstream.play(playStream(textStream('hello')));
  const before = upstream.requests.length;
  const limited = { ...grant, limits: { tokens: 1 } };
  const { token, addresses } = await bus.call(
    gatewayCalls.mintToken,
    { service: 'llm-gateway' },
    { grant: limited, ttlMs: 60_000 },
  );
  const response = await send(addresses[0], token);
  expect([response.status, response.headers.get('x-should-retry')]).toEqual([429, 'false']);
  expect(await response.json()).toMatchObject({ type: 'error', error: { type: 'rate_limit_error' } });
  expect(upstream.requests).toHaveLength(before);
});

test('all models that the providers report are listed', async () => {
  const names = Array.from({ length: 40 }, (_, index) => `acme-${index}`);
  await startGateway();
  upstream.play((response) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ object: 'list', data: names.map((id) => ({ id })) }));
  });
  const { token, addresses } = await mint();
  const response = await fetch(`${addresses[0]}/v1/models`, { headers: { authorization: `Bearer ${token}` } });
  expect(await response.json()).toMatchObject({ data: names.map((name) => ({ id: `acme/${name}`, object: 'model' })) });
});

test('a token for longer than a day is not created', async () => {
  await startGateway();
  await expect(
    bus.call(gatewayCalls.mintToken, { service: 'llm-gateway' }, { grant, ttlMs: 48 * 3_600_000 }),
  ).rejects.toMatchObject({ code: 'invalid-request' });
});

import { describe, expect, test } from 'vitest';
import { gatewayOptionsFrom } from '../../configuration.ts';
import { startTestFacade, token } from './test-support/start-facade.ts';
import { hopsOf } from './hops.ts';
import { httpProvider } from '../../transport/provider.ts';
import { providerServerAt } from '../../test-support/attempt.ts';
import { playError, startModelServer } from '../../test-support/model-server.ts';

describe("a provider's address", () => {
  const started = (environment: NodeJS.ProcessEnv) => () => gatewayOptionsFrom(environment);

  test.each([
    ['127.0.0.1:8790', { ANTHROPIC_BASE_URL: 'http://127.0.0.1:8790' }],
    ['127.0.0.1:8790', { OPENAI_BASE_URL: 'http://localhost:8790/v1' }],
    ['0.0.0.0:8790', { COPPICE_OPENAI_PROVIDERS: 'other=http://127.0.0.1:8790/v1' }],
    ['[::1]:80', { GEMINI_BASE_URL: 'http://[::1]' }],
    ['gateway.internal:8790', { OLLAMA_HOST: 'gateway.internal:8790' }],
  ])('that is the endpoint at %s is rejected (%o)', (endpoint, providers) => {
    expect(started({ COPPICE_GATEWAY_HTTP: endpoint, ...providers })).toThrow(
      "another address than this gateway's own endpoint",
    );
  });

  test.each([
    ['127.0.0.1:8790', { ANTHROPIC_BASE_URL: 'http://127.0.0.1:8791' }],
    ['127.0.0.1:8790', { ANTHROPIC_BASE_URL: 'http://gateway.internal:8790' }],
    ['127.0.0.1:443', { ANTHROPIC_BASE_URL: 'https://127.0.0.1' }],
    ['127.0.0.1:0', { ANTHROPIC_BASE_URL: 'http://127.0.0.1' }],
  ])('that is not the endpoint at %s is accepted (%o)', (endpoint, providers) => {
    expect(started({ COPPICE_GATEWAY_HTTP: endpoint, ...providers })).not.toThrow();
  });
});

test('a request that keeps returning to its gateway ends with an error that states the reason', async () => {
  // A loop through another server can't be detected at the start.
  await using detour = await startModelServer();
  const around = httpProvider({ ...providerServerAt(detour.baseUrl), name: 'around', key: token });
  await using facade = await startTestFacade({ providers: [around], learns: true });
  detour.play(async (response, { headers, body }) => {
    const { authorization = '', 'x-coppice-hops': hops } = headers as Record<string, string>;
    const answer = await fetch(`${facade.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization, 'x-coppice-hops': hops ?? '' },
      body: JSON.stringify(body),
    });
    response.writeHead(answer.status, { 'content-type': 'application/json' }).end(await answer.text());
  });
  const response = await fetch(`${facade.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}` },
    body: JSON.stringify({ model: `${'around/'.repeat(20)}one`, messages: [{ role: 'user', content: 'hi' }] }),
  });
  expect(response.status).toBe(400);
  expect(await response.text()).toContain('the request came through 4 gateways');
  // The gateway forwarded four requests and rejected the fifth. It retried none.
  const lines = facade.logged.filter((line) => line.includes('"endpoint":"http"'));
  expect(lines.map((line) => (JSON.parse(line) as { msg: string }).msg)).toEqual([
    'a request was refused',
    ...Array.from({ length: 4 }, () => 'a call was not answered'),
  ]);
});

test('a provider gets the number of hops of a request', async () => {
  await using facade = await startTestFacade();
  facade.upstream.play(playError(400, {}));
  await fetch(`${facade.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'x-coppice-hops': '2' },
    body: JSON.stringify({ model: 'acme/acme-1', messages: [{ role: 'user', content: 'hi' }] }),
  });
  expect(facade.upstream.requests.at(-1)?.headers['x-coppice-hops']).toBe('3');
});

test.each([
  [undefined, 0],
  ['3', 3],
  ['-1', 0],
  ['many', 0],
  ['1e9', 0],
])('hops of %s are %i', (header, hops) => {
  expect(hopsOf({ 'x-coppice-hops': header })).toBe(hops);
});

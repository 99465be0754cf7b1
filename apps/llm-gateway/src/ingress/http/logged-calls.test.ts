/** Tests that the response headers and the gateway's log contain a call's cost and model. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { httpProvider } from '../../transport/provider.ts';
import { providerServerAt } from '../../test-support/attempt.ts';
import { playError } from '../../test-support/model-server.ts';
import { end, saying, text } from '../../test-support/says.ts';
import { grant, startTestFacade, token } from './test-support/start-facade.ts';
import type { TestFacade } from './test-support/start-facade.ts';
import { playBeginning } from './test-support/upstream.ts';

const usage = { inputTokens: 11, outputTokens: 3, costUsd: 0.00048 };
const own = saying('own', [text('the answer'), { type: 'usage', usage }, end]);
let facade: TestFacade;
beforeAll(async () => {
  const keyless = { ...providerServerAt('http://127.0.0.1:9'), name: 'keyless', key: null, keyRequired: 'A_KEY' };
  facade = await startTestFacade({ providers: [own, httpProvider(keyless)] });
});
afterAll(() => facade[Symbol.asyncDispose]());

const messages = [{ role: 'user', content: 'the question' }];
const send = (body: object, signal: AbortSignal | null = null) =>
  fetch(`${facade.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}` },
    body: JSON.stringify({ messages, ...body }),
    signal,
  });
const reported = ({ headers }: Response) =>
  ['x-coppice-model', 'x-coppice-cost-usd', 'x-coppice-attempts'].map((name) => headers.get(name));

async function lineOf(work: () => Promise<unknown>): Promise<Record<string, unknown>> {
  const before = facade.logged.length;
  await work();
  const calls = () => facade.logged.slice(before).filter((line) => line.includes('"endpoint"'));
  await expect.poll(calls).toHaveLength(1);
  const [line = ''] = calls();
  expect(line).not.toMatch(/the question|the answer|a-token-of-a-test/);
  return JSON.parse(line) as Record<string, unknown>;
}

test('an unstreamed answer reports model, cost and attempts in headers, and so does the log', async () => {
  let response: Response | undefined;
  const line = await lineOf(async () => {
    response = await send({ model: 'own/one' });
    await response.text();
  });
  expect(response && reported(response)).toEqual(['own/one', '0.00048', '1']);
  const { tenant, runId, taskId } = grant;
  const owner = { tenant, runId, taskId };
  const about = { endpoint: 'http', level: 'info', requestedModel: 'own/one', model: 'own/one', owner };
  expect(line).toMatchObject({ ...about, usage, attempts: 1, cached: false });
  const requestId = response?.headers.get('x-request-id') ?? '';
  expect(requestId).toMatch(/^req_[0-9a-f]{32}$/);
  expect(line).toMatchObject({ effectId: requestId.replace('req_', 'http_'), latencyMs: expect.any(Number) });
  expect(line).not.toHaveProperty('error');
});

test('a stream reports its model in a header, and the log has the rest', async () => {
  let response: Response | undefined;
  const line = await lineOf(async () => {
    response = await send({ model: 'own/one', stream: true });
    await response.text();
  });
  expect(response && reported(response)).toEqual(['own/one', null, null]);
  expect(line).toMatchObject({ usage, attempts: 1 });
});

test("a model name that a header can't contain is reported encoded", async () => {
  const response = await send({ model: 'own/é ü\n' });
  expect(response.status).toBe(200);
  expect(reported(response)[0]).toBe('own/%C3%A9%20%C3%BC%0A');
});

test('if no request is possible, no model is reported', async () => {
  const response = await send({ model: 'keyless/one' });
  expect([response.status, ...reported(response)]).toEqual([502, null, null, '0']);
});

test("failed and abandoned calls are logged with the reason, without the error's text", async () => {
  facade.upstream.play(playError(400, { error: { message: 'not like the question' } }));
  let refused: Response | undefined;
  const failed = await lineOf(async () => {
    refused = await send({ model: 'acme/acme-1' });
  });
  expect(refused && reported(refused)).toEqual(['acme/acme-1', null, '1']);
  expect(failed).toMatchObject({ model: 'acme/acme-1', attempts: 1, error: 'invalid-request' });
  facade.upstream.play(playBeginning('the answer'));
  const leaving = new AbortController();
  const left = await lineOf(async () => {
    await send({ model: 'acme/acme-1', stream: true }, leaving.signal);
    leaving.abort();
  });
  expect(left).toMatchObject({ model: 'acme/acme-1', attempts: 1, error: 'cancelled' });
});

test.each([
  ['of a model that is not there', { model: 'none/one' }, 404, 'model-not-found'],
  ['with a field that no provider takes', { model: 'own/one', n: 2 }, 400, 'invalid-request'],
])('a request %s is in the log as well, by the id that its client gets', async (_, body, status, error) => {
  let response: Response | undefined;
  const line = await lineOf(async () => {
    response = await send(body);
    await response.text();
  });
  expect(response?.status).toBe(status);
  const effectId = response?.headers.get('request-id')?.replace('req_', 'http_');
  expect(line).toMatchObject({ msg: 'a request was refused', path: '/v1/chat/completions', effectId, error });
});

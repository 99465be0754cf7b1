import { createServer } from 'node:http';
import type { Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { findLocalServers } from './local-models.ts';

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

async function listen(answer: (response: ServerResponse, url: string) => void): Promise<number> {
  const server = createServer((request, response) => answer(response, request.url ?? ''));
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

test('finds a server that lists models, but no other program at such a port', async () => {
  const models = JSON.stringify({ object: 'list', data: [{ id: 'small' }, { id: 'large' }] });
  const good = await listen((response, url) => response.end(url === '/v1/models' ? models : 'no'));
  const others = await Promise.all([
    listen((response) => response.end('<html>')),
    listen((response) => response.end('{"data":[1,2]}')),
    listen((response) => response.end('null')),
    listen((response) => response.writeHead(401).end(models)),
    listen((response) => response.writeHead(302, { location: `http://127.0.0.1:${good}/v1/models` }).end()),
    listen((response) => response.end(JSON.stringify({ data: [{ id: 'x'.repeat(2_000_000) }] }))),
    listen(() => {}),
  ]);
  const begun = performance.now();
  const found = await findLocalServers([good, ...others, 1].map((port) => ({ name: 'ollama', port })));
  expect(found).toEqual([
    { name: 'ollama', host: `127.0.0.1:${good}`, baseUrl: `http://127.0.0.1:${good}/v1`, models: ['small', 'large'] },
  ]);
  expect(performance.now() - begun).toBeLessThan(5_000);
});

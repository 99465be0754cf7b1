import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { playError, startModelServer } from '../test-support/model-server.ts';
import { HttpClient } from './client.ts';
import { httpLimits } from './limits.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

test('a request that is abandoned while its connection hangs keeps neither its body nor data of its caller in memory', async () => {
  const count = 8;
  // The server accepts the connection, but never answers the TLS handshake.
  let open = 0;
  const { promise: allOpen, resolve } = Promise.withResolvers<void>();
  const hanging = createServer((socket) => {
    socket.on('error', () => {}).resume();
    if (++open === count) resolve();
  }).listen(0, '127.0.0.1');
  await once(hanging, 'listening');
  const origin = `https://127.0.0.1:${(hanging.address() as AddressInfo).port}`;
  const client = new HttpClient();
  const body = 'x'.repeat(4_000_000);
  const leave = async (): Promise<WeakRef<object>[]> => {
    const abort = new AbortController();
    const caller = { sent: 0 };
    const onSent = () => caller.sent++;
    const sent = client.send(
      { origin, path: '/' },
      { method: 'POST', headers: {}, body, signal: abort.signal, onSent },
    );
    const reason = new Error('left');
    // The abort happens after the HTTP library got the request.
    setImmediate(() => abort.abort(reason));
    expect(await sent.catch((error: unknown) => error)).toBe(reason);
    return [new WeakRef(caller), new WeakRef(reason)];
  };
  collectGarbage();
  const before = process.memoryUsage().arrayBuffers;
  const left: WeakRef<object>[] = [];
  for (let index = 0; index < count; index++) left.push(...(await leave()));
  await allOpen;
  // The memory must be freed long before the library stops trying to connect.
  const kept = () => {
    collectGarbage();
    const bytes = process.memoryUsage().arrayBuffers - before;
    return {
      bodies: Math.max(0, Math.floor(bytes / body.length)),
      others: left.filter((one) => one.deref() !== undefined).length,
    };
  };
  await expect.poll(kept, { timeout: httpLimits.connectMsMax / 2 }).toEqual({ bodies: 0, others: 0 });
  await client.close();
  hanging.close();
});

test('the status is reported when it arrives, before the caller that waits for the answer continues', async () => {
  await using server = await startModelServer();
  server.play(playError(429, {}));
  const client = new HttpClient();
  const { origin, pathname: path } = new URL(server.baseUrl);
  const order: string[] = [];
  const onStatus = (status: number) => {
    order.push(String(status));
    // This stands for other work in the same event loop turn.
    process.nextTick(() => order.push('others'));
  };
  const { signal } = new AbortController();
  const answer = await client.send({ origin, path }, { method: 'POST', headers: {}, body: '{}', signal, onStatus });
  order.push('answered');
  answer.leave();
  expect(order).toEqual(['429', 'others', 'answered']);
  await client.close();
});

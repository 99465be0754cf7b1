import { expect, test } from 'vitest';
import { sse, textStream } from '../../test-support/model-server.ts';
import { startTestFacade, token } from './test-support/start-facade.ts';
import type { TestFacade } from './test-support/start-facade.ts';
import { playBeginning } from './test-support/upstream.ts';

const chat = ({ url }: TestFacade) =>
  fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}` },
    body: JSON.stringify({ model: 'acme/acme-1', messages: [{ role: 'user', content: 'hi' }], stream: true }),
  });

test('a façade that stops lets running answers finish, and rejects new requests', async () => {
  const stopping = await startTestFacade();
  let finish = () => {};
  stopping.upstream.play((response) => {
    playBeginning('hel')(response);
    finish = () => response.end(sse(textStream('lo')));
  });
  const response = await chat(stopping);
  const stopped = stopping.stop();
  await expect(chat(stopping)).rejects.toBeInstanceOf(Error);
  finish();
  expect(await response.text()).toContain('[DONE]');
  await stopped;
  await stopping[Symbol.asyncDispose]();
});

test('it ends answers that take too long with an error that states the reason', async () => {
  const stopping = await startTestFacade({ drainMs: 1 });
  stopping.upstream.play(playBeginning('hel'));
  const response = await chat(stopping);
  const pieces: string[] = [];
  const read = async () => {
    for await (const piece of response.body ?? []) pieces.push(Buffer.from(piece as Uint8Array).toString());
  };
  const [ended] = await Promise.allSettled([read(), stopping.stop()]);
  expect(ended.status).toBe('fulfilled');
  expect(pieces.join('')).toContain('the gateway is stopping');
  expect(pieces.join('')).not.toContain('[DONE]');
  await stopping.upstream.requests[0]?.abandoned;
  await stopping[Symbol.asyncDispose]();
});

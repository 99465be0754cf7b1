import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { NotNow } from '@coppice/bus';
import type { CoppiceError } from '@coppice/contracts';
import { eventually } from '@coppice/testing';
import { expect, test } from 'vitest';
import { commandHandlers, endpoints, inspectsAtOnce, placesOfFetches } from './handlers.ts';
import { fixture } from './test-support/fixture.ts';

test('who asks for many repositories that never answer has a few processes, and others are answered', async () => {
  await using f = await fixture();
  const sockets = new Set<Socket>();
  const silent = createServer((socket) => sockets.add(socket.on('error', () => {})));
  silent.listen(0, '127.0.0.1');
  await once(silent, 'listening');
  const { port } = silent.address() as AddressInfo;
  const [inspect] = endpoints(f.context, undefined as never);
  const ask = async (tenant: string, repository: string) =>
    inspect?.handler(
      { tenant, repository, baseBranch: f.repository.branch },
      { tenant: null, subject: '' },
      undefined as never,
    );
  const { perTenant, waitingPerTenantMax } = inspectsAtOnce;
  const refusedMin = 30;
  const refused: CoppiceError[] = [];
  const asked = Array.from({ length: perTenant + waitingPerTenantMax + refusedMin }, (_, number) =>
    ask('acme', `http://127.0.0.1:${port}/${number}.git`).catch((error: CoppiceError) => refused.push(error)),
  );
  await eventually(async () => expect(sockets.size).toBe(perTenant));
  expect(refused).toHaveLength(refusedMin);
  expect(refused[0]).toMatchObject({ code: 'unavailable', retryable: true });
  expect(await ask('other', f.address)).toMatchObject({ baseCommit: await f.repository.head(f.repository.branch) });
  expect(sockets.size).toBe(perTenant);
  silent.close();
  silent.on('connection', (socket: Socket) => socket.destroy());
  for (const socket of sockets) socket.destroy();
  await Promise.all(asked);
}, 60_000);

test('who prepares from servers that never answer leaves places to others', async () => {
  await using f = await fixture();
  const sockets = new Set<Socket>();
  const silent = createServer((socket) => sockets.add(socket.on('error', () => {})));
  silent.listen(0, '127.0.0.1');
  await once(silent, 'listening');
  const { port } = silent.address() as AddressInfo;
  const [handler] = commandHandlers(f.context, placesOfFetches(8));
  const prepare = async (tenant: string, taskId: string, repository: string) =>
    handler?.run(
      { owner: { tenant, runId: 'r', taskId }, repository, baseBranch: f.repository.branch, slug: 's', setupKey: null },
      { effectId: `${taskId}_1`, signal: new AbortController().signal, takenOver: false, queuedMs: 0 },
    );
  const putOff: unknown[] = [];
  const asked = Array.from({ length: 8 }, (_, number) =>
    prepare('acme', `a${number}`, `http://127.0.0.1:${port}/${number}.git`).catch((error: unknown) => {
      if (error instanceof NotNow) putOff.push(error);
    }),
  );
  await eventually(async () => expect(putOff).toHaveLength(2));
  expect(sockets.size).toBe(6);
  expect(await prepare('other', 'b', f.address)).toMatchObject({ baseCommit: expect.any(String) });
  silent.close();
  silent.on('connection', (socket: Socket) => socket.destroy());
  for (const socket of sockets) socket.destroy();
  await Promise.all(asked);
}, 60_000);

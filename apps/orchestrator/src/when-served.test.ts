import { Bus, serviceEndpoint } from '@coppice/bus';
import { CoppiceError, worktreeCalls } from '@coppice/contracts';
import { startNatsServer } from '@coppice/testing';
import { expect, test, vi } from 'vitest';
import { whenServed } from './when-served.ts';

const away = new CoppiceError('unavailable', 'nobody serves it');

test('a service that returns in time answers', async () => {
  await using nats = await startNatsServer();
  const bus = await Bus.connect({ ...nats.connection, name: 'test' });
  const input = { tenant: 'default', repository: '/one', baseBranch: 'main' };
  const call = vi.fn<() => Promise<unknown>>(() =>
    bus.call(worktreeCalls.inspect, { service: 'worktree-service' }, input),
  );
  const answer = whenServed(call, 60_000);
  await expect.poll(() => call.mock.calls.length).toBeGreaterThan(1);
  const inspected = { repository: '/one', repositoryId: 'one', baseCommit: 'a'.repeat(40) };
  const endpoints = [serviceEndpoint('worktree-service', worktreeCalls.inspect, async () => inspected)];
  await bus.serve({ name: 'worktree-service', version: '1.0.0', description: 'One.', endpoints });
  expect(await answer).toEqual(inspected);
  await bus.close();
});

test('the error of a service that stays absent is thrown, and any other error at once', async () => {
  const gone = vi.fn<() => Promise<never>>(() => Promise.reject(away));
  await expect(whenServed(gone, 0)).rejects.toBe(away);
  const refused = new CoppiceError('repository-not-found', 'no');
  const refusing = vi.fn<() => Promise<never>>(() => Promise.reject(refused));
  await expect(whenServed(refusing, 60_000)).rejects.toBe(refused);
  expect([gone.mock.calls.length, refusing.mock.calls.length]).toEqual([1, 1]);
});

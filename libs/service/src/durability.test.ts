import { startNatsServer, temporaryFolder } from '@coppice/testing';
import { expect, test } from 'vitest';
import { askDurability } from './durability.ts';

test('with the default settings the promise names what a power cut may lose', async () => {
  await using nats = await startNatsServer();
  expect(await askDurability(nats.monitoringUrl, 1)).toEqual({
    syncIntervalMs: 120_000,
    replicas: 1,
    promise: expect.stringContaining('a power cut of its host may lose the last 120 s'),
  });
});

test('`sync_interval: always` is recognised', async () => {
  await using folder = await temporaryFolder('durability');
  const config = `jetstream { sync_interval: always, store_dir: ${JSON.stringify(folder.path)} }`;
  await using nats = await startNatsServer({ config });
  expect(await askDurability(nats.monitoringUrl, 3)).toMatchObject({ syncIntervalMs: 'always', replicas: 3 });
});

test.each([undefined, 'http://127.0.0.1:1'])(
  'if the server does not answer, the interval is unknown (%s)',
  async (monitoringUrl) => {
    const { syncIntervalMs, promise } = await askDurability(monitoringUrl, 1);
    expect(syncIntervalMs).toBeNull();
    expect(promise).toContain('is not known');
  },
);

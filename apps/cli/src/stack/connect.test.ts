import { startNatsServer } from '@coppice/testing';
import type { NatsServer } from '@coppice/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connectTo } from './connect.ts';

let nats: NatsServer;
beforeAll(async () => {
  nats = await startNatsServer({ auth: true });
});
afterAll(() => nats.stop());

test('whom the server refuses for want of a key is told how to name one', async () => {
  const refused = connectTo({ servers: nats.url }, 'the stack');
  await expect(refused).rejects.toThrow(/^the stack: .* refuses this user.*NATS_CREDENTIALS_FILE/);
});

test('whom it refuses with a key is not told that there is none', async () => {
  const refused = connectTo({ servers: nats.url, user: 'somebody', password: 'else' }, 'the stack');
  await expect(refused).rejects.toThrow(/refuses this user(?!.*NATS_CREDENTIALS_FILE)/);
});

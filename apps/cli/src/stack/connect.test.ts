import { startNatsServer } from '@coppice/testing';
import type { NatsServer } from '@coppice/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connectTo } from './connect.ts';

let nats: NatsServer;
beforeAll(async () => {
  nats = await startNatsServer({ auth: true });
});
afterAll(() => nats.stop());

test('if the server refuses a user without a key, the error says how to name one', async () => {
  const refused = connectTo({ servers: nats.url }, 'the stack');
  await expect(refused).rejects.toThrow(/^the stack: .* refuses this user.*NATS_CREDENTIALS_FILE/);
});

test('if it refuses a user with a key, the error does not say that a key is missing', async () => {
  const refused = connectTo({ servers: nats.url, user: 'somebody', password: 'else' }, 'the stack');
  await expect(refused).rejects.toThrow(/refuses this user(?!.*NATS_CREDENTIALS_FILE)/);
});

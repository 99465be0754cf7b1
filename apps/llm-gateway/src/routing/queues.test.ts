import { expect, test } from 'vitest';
import { Queues } from './queues.ts';

test('a call that would wait beyond the limit is rejected', async () => {
  const queue = new Queues({ concurrencyOf: () => 1, waitingMax: 1 }).of('acme');
  const release = await queue.enter();
  const second = queue.enter();
  await expect(queue.enter()).rejects.toMatchObject({
    code: 'provider-limited',
    retryable: true,
    message: '1 calls are at acme and 1 more wait, which is the limit',
  });
  release();
  (await second)();
});

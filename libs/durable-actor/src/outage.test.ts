import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually } from '@coppice/testing';
import { readActor } from './index.ts';
import { Harness, prepared } from './test-support/harness.ts';

let harness: Harness;
const jobs = Array.from({ length: 12 }, (_, index) => `o${index}`);

beforeAll(async () => {
  harness = await Harness.start();
});
afterAll(() => harness.stop());

test('hosts continue by themselves after a nats-server was killed and restarted during their work', async () => {
  await harness.host({ limits: { ackWaitMs: 1_000, outageDelayMsMin: 50, outageDelayMsMax: 500 } });
  for (const id of jobs) await harness.create('job', id);
  for (const id of jobs) await harness.reaches('job', id, 'waiting');
  const issuedAt = new Date().toISOString();
  await Promise.all(
    jobs.map((id) => harness.post('job', id, { type: 'event', messageId: 'go', event: { type: 'start' }, issuedAt })),
  );
  await harness.server.kill();
  await harness.server.restart();

  const states = async () => Promise.all(jobs.map(async (id) => (await readActor(harness.bus, 'job', id))?.state));
  await eventually(async () => expect(await states()).toEqual(jobs.map(() => 'preparing')), { timeoutMs: 20_000 });
  for (const id of jobs) await harness.quiet('job', id);
  for (const id of jobs) {
    const effectId = await harness.effectOf('job', id, 'prepare');
    expect((await harness.commands(id)).map((command) => command.effectId)).toEqual([effectId]);
    await harness.result('job', id, effectId, { status: 'done', output: prepared });
  }
  await eventually(async () => expect(await states()).toEqual(jobs.map(() => 'asking')));
  for (const id of jobs) expect((await harness.events(id)).map((event) => event.sequence)).toEqual([1, 2, 3]);
  expect(await harness.deadLetters()).toEqual([]);
});

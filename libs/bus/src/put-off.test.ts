import { buckets, sandboxOperations, streams, subjects } from '@coppice/contracts';
import { eventually, startNatsServer } from '@coppice/testing';
import { expect, test, vi } from 'vitest';
import { Bus, NotNow, handle, joinMembers, serveCommands } from './index.ts';

const refusalsOfEach = 3;

test("a postponed command is delivered once more, even if the server can't store messages for a while", async () => {
  await using server = await startNatsServer({ auth: true });
  const user = await Bus.connect({ ...server.connection, name: 'user' });
  const bus = await Bus.connect({ ...server.connection, name: 'test', lostAfterMs: 3_000 });
  await bus.ensureResources();
  const member = await joinMembers(bus, { service: 'container-service', node: 'test' });

  const refused = { look: 0, publish: 0 };
  const refuse = (what: keyof typeof refused) => {
    if (refused[what] === refusalsOfEach) return;
    refused[what]++;
    throw new Error('insufficient resources');
  };
  let deliveries = 0;
  const publish = bus.publish.bind(bus);
  vi.spyOn(bus, 'publish').mockImplementation(async (...publication) => {
    refuse('publish');
    return publish(...publication);
  });
  const claims = bus.keyValue(buckets.effects);
  const get = claims.get.bind(claims);
  vi.spyOn(claims, 'get').mockImplementation(async (key) => {
    refuse('look');
    return get(key);
  });
  vi.spyOn(bus, 'keyValue').mockReturnValue(claims);
  const consume = bus.consume.bind(bus);
  vi.spyOn(bus, 'consume').mockImplementation((options, handler) =>
    consume(options, (delivery) => {
      deliveries++;
      return handler(delivery);
    }),
  );

  const putOffOnce = handle(sandboxOperations.remove, async () => {
    if (refused.publish === 0) throw new NotNow('the disk is full');
    return {};
  });
  const settings = { service: 'container-service', concurrency: 2 } as const;
  const running = await serveCommands(bus, { ...settings, pools: ['any'], member, handlers: [putOffOnce] });
  await user.publish(subjects.command('container-service', 'any', 'remove'), {
    effectId: 'test_full_0_1',
    replyTo: { kind: 'test', id: 'test' },
    input: { owner: { tenant: 'default', runId: 'r', taskId: 't' }, sandboxId: 's' },
    issuedAt: new Date().toISOString(),
  });
  const result = await eventually(
    async () => {
      for await (const message of user.browse(streams.actors, subjects.actor('test', 'test'))) return message.json();
      return undefined;
    },
    { timeoutMs: 60_000 },
  );
  expect(result).toMatchObject({ outcome: { status: 'done' } });
  expect(refused).toEqual({ look: refusalsOfEach, publish: refusalsOfEach });
  expect(deliveries).toBe(2);
  await running.stop();
  await member.leave();
  await bus.close();
  await user.close();
}, 90_000);

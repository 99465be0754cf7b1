/** Tests two processes with their own connections. One works on a command that is also delivered to the other. */
import { buckets, sandboxOperations, streams, subjects } from '@coppice/contracts';
import type { ActorMessage } from '@coppice/contracts';
import { eventually, startNatsServer, startTcpProxy } from '@coppice/testing';
import type { NatsServer } from '@coppice/testing';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { Bus, ClaimLost, handle, joinMembers, serveCommands } from './index.ts';
import type { CommandContext } from './index.ts';
import { keyValueStream } from './resources.ts';

const lostAfterMs = 3_000;
const deadline = { timeoutMs: 30_000 };
const input = {
  owner: { tenant: 'default', runId: 'r', taskId: 't' },
  sandboxId: 's',
  command: { shell: 'true', timeLimitMs: 1_000 },
};
const output = {
  exitCode: 0,
  signal: null,
  timedOut: false,
  outOfMemory: false,
  standardOutput: '',
  standardError: '',
  logArtifact: null,
  durationMs: 1,
};

let server: NatsServer;
let bus: Bus;
beforeAll(async () => {
  server = await startNatsServer();
  bus = await Bus.connect({ ...server.connection, name: 'test' });
  await bus.ensureResources();
});
afterAll(async () => {
  await bus.close();
  await server.stop();
});

/** Starts a process that runs the commands of a pool. Each test has its own pool. */
async function startExecutor(pool: string, servers: string, run: (context: CommandContext) => Promise<typeof output>) {
  const own = await Bus.connect({ servers, name: pool, lostAfterMs });
  const member = await joinMembers(own, { service: 'container-service', node: pool });
  const commands = await serveCommands(own, {
    service: 'container-service',
    pools: [pool],
    concurrency: 2,
    member,
    handlers: [handle(sandboxOperations.exec, (_, context) => run(context))],
  });
  return {
    member,
    [Symbol.asyncDispose]: async () => {
      await commands.stop();
      await member.leave();
      await own.close();
    },
  };
}

const order = (pool: string, effectId: string) =>
  bus.publish(subjects.command('container-service', pool, 'exec'), {
    effectId,
    replyTo: { kind: 'test', id: effectId.replaceAll('_', '-') },
    input,
    issuedAt: new Date().toISOString(),
  });
const results = async (effectId: string): Promise<ActorMessage[]> => {
  const messages = bus.browse(streams.actors, subjects.actor('test', effectId.replaceAll('_', '-')));
  return Array.fromAsync(messages, (message) => message.json() as ActorMessage);
};
const result = (effectId: string) => eventually(async () => (await results(effectId))[0], deadline);
const isPutOff = async (effectId: string): Promise<boolean> => {
  const waiting = bus.browse(streams.commands, subjects.commandLater('container-service', effectId));
  return (await Array.fromAsync(waiting)).length > 0;
};
/** Removes a member's key, as if it had expired. */
const expire = (id: string) => bus.purge(keyValueStream(buckets.members), `$KV.${buckets.members}.${id}`);
const portOf = (url: string) => Number(new URL(url).port);

/**
 * Starts two executors. The first connects through a proxy and starts a command. Then it loses its connection and its
 * member key, and the command is also delivered to the second.
 */
async function cutOff(name: string) {
  const proxy = await startTcpProxy(portOf(server.url));
  const effectId = `test_${name}_0_1`;
  const release = Promise.withResolvers<void>();
  const begun = Promise.withResolvers<CommandContext>();
  const owner = await startExecutor(name, `127.0.0.1:${proxy.port}`, async (context) => {
    begun.resolve(context);
    await release.promise;
    await context.confirmClaim();
    return { ...output, exitCode: 1 };
  });
  await order(name, effectId);
  const context = await begun.promise;
  const other = await startExecutor(name, server.url, async () => ({ ...output, exitCode: 2 }));
  proxy.cut();
  await expire(owner.member.id);
  await order(name, effectId);
  return {
    proxy,
    effectId,
    context,
    release: release.resolve,
    [Symbol.asyncDispose]: async () => {
      release.resolve();
      proxy.heal();
      await other[Symbol.asyncDispose]();
      await owner[Symbol.asyncDispose]();
      await proxy[Symbol.asyncDispose]();
    },
  };
}

describe('a process that loses its connection', () => {
  test.concurrent('for a moment keeps its claim, and its result is accepted', async () => {
    await using away = await cutOff('moment');
    await eventually(() => isPutOff(away.effectId), deadline);
    away.proxy.heal();
    away.release();
    expect(await result(away.effectId)).toMatchObject({ outcome: { status: 'done', output: { exitCode: 1 } } });
    expect(away.context.signal.aborted).toBe(false);
  });

  test.concurrent('for longer loses its claim, notices this after the reconnect, and its result is ignored', async () => {
    const startedAt = performance.now();
    await using away = await cutOff('longer');
    expect(await result(away.effectId)).toMatchObject({ outcome: { status: 'failed', error: { code: 'unknown' } } });
    expect(performance.now() - startedAt).toBeGreaterThan(lostAfterMs);
    expect(away.context.signal.aborted).toBe(false);
    away.proxy.heal();
    await eventually(() => away.context.signal.aborted, deadline);
    expect(away.context.signal.reason).toBeInstanceOf(ClaimLost);
    await expect(away.context.confirmClaim()).rejects.toThrow(ClaimLost);
    away.release();
    await eventually(
      async () => (await bus.backlog(streams.commands, 'container-service-longer')).unacknowledged === 0,
      deadline,
    );
    expect(await results(away.effectId)).toHaveLength(1);
  });

  test.concurrent.each(['to-server', 'to-client'] as const)(
    'with a stalled connection %s opens another one and keeps its claim',
    async (direction) => {
      const name = `stalled-${direction}`;
      await using proxy = await startTcpProxy(portOf(server.url));
      const release = Promise.withResolvers<void>();
      const begun = Promise.withResolvers<void>();
      await using owner = await startExecutor(name, `127.0.0.1:${proxy.port}`, async () => {
        begun.resolve();
        await release.promise;
        return { ...output, exitCode: 1 };
      });
      const effectId = `test_${name}_0_1`;
      await order(name, effectId);
      await begun.promise;
      await using other = await startExecutor(name, server.url, async () => ({ ...output, exitCode: 2 }));
      expect(other.member.id).not.toBe(owner.member.id);
      proxy.stall(direction);
      // Waits until the client has closed the stalled connection. The client's next connection works.
      await eventually(() => owner.member.soundSince() === null, deadline);
      proxy.heal();
      await eventually(() => owner.member.soundSince() !== null, deadline);
      release.resolve();
      expect(await result(effectId)).toMatchObject({ outcome: { status: 'done', output: { exitCode: 1 } } });
    },
  );
});

test('a result that arises while the server is down is reported once the server is back; the work runs once', async () => {
  const effectId = 'test_outage_0_1';
  let times = 0;
  const release = Promise.withResolvers<void>();
  await using executor = await startExecutor('outage', server.url, async () => {
    times++;
    await release.promise;
    return output;
  });
  await order('outage', effectId);
  await eventually(() => times === 1, deadline);
  await server.kill();
  release.resolve();
  await new Promise((resolve) => setTimeout(resolve, lostAfterMs));
  await server.restart();
  expect(await eventually(() => result(effectId).catch(() => null), deadline)).toMatchObject({
    outcome: { status: 'done' },
  });
  expect(times).toBe(1);
  expect(await executor.member.isMember(executor.member.id)).toBe(true);
});

test('a process whose host was suspended notices it by the wall clock and must confirm its claims', async () => {
  await using executor = await startExecutor('suspended', server.url, async () => output);
  const { member } = executor;
  await eventually(() => member.soundSince() !== null, deadline);
  const epoch = member.epoch();
  const now = Date.now.bind(Date);
  const clock = vi.spyOn(Date, 'now').mockImplementation(() => now() + 60_000);
  try {
    expect(member.epoch()).toBe(epoch + 1);
    expect(member.soundSince()).toBeNull();
    await member.listed(AbortSignal.timeout(deadline.timeoutMs));
    expect(member.soundSince()).not.toBeNull();
  } finally {
    clock.mockRestore();
  }
  expect(member.epoch()).toBe(epoch + 1);
});

import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { Bus } from '@coppice/bus';
import { buckets } from '@coppice/contracts';
import { eventually, startNatsServer, startProcess } from '@coppice/testing';
import type { NatsServer, StartedProcess } from '@coppice/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const program = path.join(import.meta.dirname, 'test-programs/service.ts');
const start = (environment: Record<string, string>, behaviour = 'good') =>
  startProcess(program, [], {
    TESTED_BEHAVIOUR: behaviour,
    COPPICE_NODE: 'here',
    COPPICE_LOG_LEVEL: 'info',
    ...environment,
  });

const said = (child: StartedProcess) => child.lines.map((line) => line.text).join('\n');
const stopped = { code: 0, signal: null };
const misconfigured = { code: 78, signal: null };

/**
 * Starts a fake NATS server of this version, which only sends the greeting and answers PING. The service reads no more
 * than that.
 */
async function oldServer(version: string) {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.write(
      `INFO ${JSON.stringify({ server_id: 'old', version, max_payload: 1_048_576, proto: 1, headers: true, jetstream: true })}\r\n`,
    );
    socket.on('data', (data) => data.toString().includes('PING') && socket.write('PONG\r\n'));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `nats://127.0.0.1:${(server.address() as AddressInfo).port}`, close: () => server.close() };
}

describe('with a server', () => {
  let nats: NatsServer;
  beforeAll(async () => {
    nats = await startNatsServer({ auth: true });
  });
  afterAll(() => nats.stop());

  test('if metrics are switched off, the probes still work', async () => {
    await using child = start({ ...nats.environment, COPPICE_HEALTH_PORT: '0', COPPICE_METRICS: 'off' });
    const { port } = JSON.parse(await child.waitForLine('health endpoint')) as { port: number };
    expect((await fetch(`http://127.0.0.1:${port}/healthz`)).status).toBe(200);
    expect((await fetch(`http://127.0.0.1:${port}/metrics`)).status).toBe(404);
  });

  test('a service starts and is ready; on SIGTERM it stops the work, then ends the membership, then exits 0', async () => {
    await using child = start({
      ...nats.environment,
      COPPICE_HEALTH_PORT: '0',
      NATS_MONITORING_URL: nats.monitoringUrl,
    });
    const member = (await child.waitForLine('member tested-service-here-')).split(' ')[1] as string;
    const { port } = JSON.parse(await child.waitForLine('health endpoint')) as { port: number };
    await child.waitForLine('"msg":"started"');
    expect(await child.waitForLine('a power cut of its host may lose the last 120 s')).toContain(
      '"syncIntervalMs":120000',
    );
    for (const [where, status] of [
      ['healthz', 200],
      ['readyz', 200],
      ['metrics', 200],
      ['elsewhere', 404],
    ] as const) {
      expect((await fetch(`http://127.0.0.1:${port}/${where}`)).status).toBe(status);
    }
    const bus = await Bus.connect({ ...nats.connection, name: 'test' });
    const members = bus.keyValue(buckets.members);
    expect(await members.get(member)).not.toBeNull();
    child.signal('SIGTERM');
    expect(await child.exited).toEqual(stopped);
    expect(said(child)).toContain('stopping as member: true');
    expect(await members.get(member)).toBeNull();
    await bus.close();
  });

  test('a second signal makes the process exit at once', async () => {
    await using child = start(nats.environment, 'stops-slowly');
    await child.waitForLine('"msg":"started"');
    child.signal('SIGINT');
    await child.waitForLine('stopping as member');
    child.signal('SIGINT');
    expect(await child.exited).toEqual({ code: 130, signal: null });
  });

  test.each(['throws', 'rejects'])('an uncaught error is logged, and the process exits 1 (%s)', async (behaviour) => {
    await using child = start(nats.environment, behaviour);
    expect(await child.exited).toEqual({ code: 1, signal: null });
    expect(said(child)).toMatch(/uncaught error/);
    expect(said(child)).toContain('a defect');
  });

  test('a service that can not start logs the reason and leaves no membership', async () => {
    await using child = start({ ...nats.environment, COPPICE_NODE: 'nowhere' }, 'fails-to-start');
    expect(await child.exited).toEqual({ code: 1, signal: null });
    expect(said(child)).toContain('no disk');
    const bus = await Bus.connect({ ...nats.connection, name: 'test' });
    const members = await Array.fromAsync(bus.keyValue(buckets.members).keys());
    expect(members.filter((id) => id.includes('nowhere'))).toEqual([]);
    await bus.close();
  });

  test('a wrong password is a configuration error, and is not logged', async () => {
    await using child = start({ ...nats.environment, NATS_PASSWORD: 'hunter2-hunter2' });
    expect(await child.exited).toEqual(misconfigured);
    expect(said(child)).toContain('refuses this user');
    expect(said(child)).not.toContain('hunter2');
  });

  test('all invalid variables are reported together', async () => {
    await using child = start({ ...nats.environment, COPPICE_REPLICAS: 'many', COPPICE_NODE: 'No Node' }, 'bad');
    expect(await child.exited).toEqual(misconfigured);
    for (const part of ['COPPICE_REPLICAS: expected an integer from 1 to 5', 'COPPICE_NODE', 'TESTED_BEHAVIOUR']) {
      expect(said(child)).toContain(part);
    }
  });
});

test('without a server the process waits for the configured time, then exits 69', async () => {
  await using child = start({ NATS_URL: 'nats://127.0.0.1:1', COPPICE_START_WAIT_MS: '400' });
  expect(await child.exited).toEqual({ code: 69, signal: null });
  expect(said(child)).toContain('can not be reached');
});

test('SIGTERM ends the wait for a server', async () => {
  await using child = start({ NATS_URL: 'nats://127.0.0.1:1', COPPICE_HEALTH_PORT: '0' });
  const { port } = JSON.parse(await child.waitForLine('health endpoint')) as { port: number };
  expect(await (await fetch(`http://127.0.0.1:${port}/readyz`)).json()).toEqual({
    status: 'not ready',
    reason: 'starting',
  });
  child.signal('SIGTERM');
  expect(await child.exited).toEqual(stopped);
});

test('a service waits for a server that starts late, and for one that restarts', async () => {
  await using nats = await startNatsServer();
  await nats.kill();
  await using child = start({ ...nats.environment, COPPICE_HEALTH_PORT: '0' });
  const { port } = JSON.parse(await child.waitForLine('health endpoint')) as { port: number };
  const readiness = async () => (await fetch(`http://127.0.0.1:${port}/readyz`)).status;
  await new Promise((resolve) => setTimeout(resolve, 300));
  await nats.restart();
  await child.waitForLine('"msg":"started"');
  expect(await readiness()).toBe(200);
  await nats.kill();
  await eventually(async () => (await readiness()) === 503, { timeoutMs: 30_000 });
  await nats.restart();
  await eventually(async () => (await readiness()) === 200);
  child.signal('SIGTERM');
  expect(await child.exited).toEqual(stopped);
});

test('a server without JetStream is rejected', async () => {
  await using nats = await startNatsServer({ jetStream: false });
  await using child = start(nats.environment);
  expect(await child.exited).toEqual(misconfigured);
  expect(said(child)).toContain('has no JetStream');
});

test('a server that is too old is rejected', async () => {
  const old = await oldServer('2.11.9');
  await using child = start({ NATS_URL: old.url });
  expect(await child.exited).toEqual(misconfigured);
  expect(said(child)).toContain('NATS server 2.11.9 is too old: Coppice needs 2.12.0 or newer');
  old.close();
});

import { access } from 'node:fs/promises';
import { createConnection } from 'node:net';
import path from 'node:path';
import { expect, test } from 'vitest';
import { eventually } from './eventually.ts';
import { natsServerProgram, startNatsServer } from './nats-server.ts';
import { startProcess } from './start-process.ts';

/**
 * Sends lines of the NATS protocol. Returns the server's greeting and answers. Uses no NATS client, since this package
 * depends on none.
 */
function talk(url: string, ...lines: string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = createConnection({ host: '127.0.0.1', port: Number(new URL(url).port) });
    let received = '';
    socket.setEncoding('utf8').on('data', (text: string) => {
      received += text;
      if (/PONG|-ERR/.test(received)) socket.end();
    });
    socket.once('connect', () => socket.write([...lines, 'PING', ''].join('\r\n')));
    socket.once('close', () => resolve(received));
    socket.once('error', reject);
  });
}

test('two servers run at the same time on different ports with JetStream, and leave nothing when they stop', async () => {
  const servers = await Promise.all([startNatsServer(), startNatsServer()]);
  expect(new Set(servers.map((server) => server.url)).size).toBe(2);
  for (const server of servers) {
    expect(await talk(server.url, 'CONNECT {"verbose":false}')).toMatch(/"jetstream":true[\s\S]*PONG/);
  }
  const jsz = await fetch(`${servers[0].monitoringUrl}/jsz`);
  const { config } = (await jsz.json()) as { config: { store_dir: string } };
  await access(config.store_dir);
  const pids = servers.map((server) => server.pid);
  await Promise.all(servers.map((server) => server.stop()));
  await expect(access(config.store_dir)).rejects.toThrow('ENOENT');
  for (const pid of pids) expect(() => process.kill(pid, 0)).toThrow('ESRCH');
});

test('a server with `auth` rejects clients without credentials', async () => {
  await using server = await startNatsServer({ auth: true });
  expect(await talk(server.url, 'CONNECT {"verbose":false}')).toContain('Authorization Violation');
  const right = JSON.stringify({ verbose: false, user: server.user, pass: server.password });
  expect(await talk(server.url, `CONNECT ${right}`)).toContain('PONG');
  expect(server.environment).toEqual({ NATS_URL: server.url, NATS_USER: server.user, NATS_PASSWORD: server.password });
});

test('after a kill the server restarts on the same port', async () => {
  await using server = await startNatsServer();
  const { url, pid } = server;
  await server.kill();
  await expect(talk(url, 'CONNECT {"verbose":false}')).rejects.toThrow('ECONNREFUSED');
  await server.restart();
  expect(server.url).toBe(url);
  expect(server.pid).not.toBe(pid);
  expect(await talk(url, 'CONNECT {"verbose":false}')).toContain('PONG');
});

test("additional configuration is used, and if it is invalid, the error quotes the server's message", async () => {
  await using server = await startNatsServer({ config: 'max_payload: 4096', jetStream: false });
  const greeting = await talk(server.url, 'CONNECT {"verbose":false}');
  expect(greeting).toContain('"max_payload":4096');
  expect(greeting).not.toContain('"jetstream":true');
  await expect(startNatsServer({ config: 'max_payload: lots' })).rejects.toThrow(/did not start.*server\.conf:6/s);
});

test('the error for a missing program names where it was searched', async () => {
  expect(() => natsServerProgram({ COPPICE_NATS_SERVER: '/nowhere/nats-server' })).toThrow(
    'COPPICE_NATS_SERVER=/nowhere/nats-server',
  );
  await expect(startNatsServer({ program: '/nowhere/nats-server' })).rejects.toThrow('could not be started');
});

test.each(['SIGKILL', 'SIGTERM', 'SIGINT'] as const)('the server ends if %s ends the test process', async (signal) => {
  await using holder = startProcess(path.join(import.meta.dirname, 'test-programs/server-holder.ts'));
  const url = (await holder.waitForLine(/^server nats:/)).split(' ')[1] as string;
  expect(await talk(url, 'CONNECT {"verbose":false}')).toContain('PONG');
  await holder.kill(signal);
  // The test checks the port, since a process that has ended keeps its process id until its parent reads the exit
  // status.
  const answer = await eventually(async () => {
    const error = await talk(url, 'CONNECT {"verbose":false}').catch((reason: unknown) => reason);
    // Any other error, such as a reset connection, means that the server was still running.
    return error instanceof Error && error.message.includes('ECONNREFUSED') && error.message;
  });
  expect(answer).toContain('ECONNREFUSED');
});

test('a stopped server does not keep the process running', async () => {
  await using holder = startProcess(path.join(import.meta.dirname, 'test-programs/server-stopper.ts'));
  expect(await holder.exited).toEqual({ code: 0, signal: null });
});

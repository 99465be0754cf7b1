import { readFile, stat, writeFile } from 'node:fs/promises';
import { once } from 'node:events';
import { createServer } from 'node:net';
import path from 'node:path';
import { Bus } from '@coppice/bus';
import { eventually, startNatsServer, temporaryFolder } from '@coppice/testing';
import { expect, onTestFinished, test } from 'vitest';
import { readConnection } from './credentials.ts';
import { homeFrom } from './home.ts';
import type { Home } from './home.ts';
import { identityOf, isRunning } from './process-identity.ts';
import type { ProcessIdentity } from './process-identity.ts';
import { ensureStack } from './start-stack.ts';
import { stopStack } from './stop-stack.ts';

const program = path.join(import.meta.dirname, '../test-programs/small-stack.ts');

async function newHome(): Promise<Home> {
  const folder = await temporaryFolder('home');
  const home = homeFrom({ COPPICE_HOME: path.join(folder.path, 'home') });
  onTestFinished(async () => {
    await down(home);
    await folder.remove();
  });
  return home;
}

const up = (home: Home, environment: NodeJS.ProcessEnv = {}, lines: string[] = []) =>
  ensureStack({
    home,
    command: [process.execPath, program],
    environment: {
      ...process.env,
      COPPICE_HOME: home.root,
      COPPICE_LOG_LEVEL: 'info',
      SMALL_STACK_TEST_PROCESS: `${process.pid}`,
      ...environment,
    },
    onLine: (line) => lines.push(line),
  });

/** Stops a stack. For engine none, pretends that a killed stack has left three sandboxes with running commands. */
const down = (home: Home) => stopStack(home, async (engine) => (engine === 'none' ? 3 : 0));

async function serverOf(home: Home): Promise<ProcessIdentity> {
  return JSON.parse(await readFile(path.join(home.natsFolder, 'process.json'), 'utf8')) as ProcessIdentity;
}

async function connected(home: Home): Promise<Bus> {
  const connection = readConnection(home);
  if (connection === null) throw new Error('no connection file');
  return Bus.connect({ ...connection, name: 'test' });
}

test('starts in the background, reports its progress in lines, and leaves nothing running when it stops', async () => {
  const home = await newHome();
  const lines: string[] = [];
  const { status, started } = await up(home, {}, lines);
  expect(started).toBe(true);
  expect(status).toMatchObject({ phase: 'ready', engine: 'none' });
  expect(lines).toEqual([
    expect.stringContaining('nats-server: nats://127.0.0.1:'),
    'small-service: as small as can be',
    'ready',
  ]);
  const server = await serverOf(home);
  expect(isRunning(server)).toBe(true);

  expect(await down(home)).toMatchObject({ stopped: true });
  expect(isRunning(status.process)).toBe(false);
  expect(isRunning(server)).toBe(false);
  expect(await down(home)).toEqual({ stopped: false, left: { server: false, sandboxes: 0 } });
});

test('down in a home without a stack finds nothing and makes no files', async () => {
  const home = await newHome();
  expect(await down(home)).toEqual({ stopped: false, left: { server: false, sandboxes: 0 } });
  await expect(stat(home.root)).rejects.toThrow('ENOENT');
});

test('concurrent starts make one stack, which all callers find', async () => {
  const home = await newHome();
  const results = await Promise.all([up(home), up(home), up(home)]);
  const processes = new Set(results.map(({ status }) => status.process.pid));
  expect(processes.size).toBe(1);
  expect(results.filter(({ started }) => started)).toHaveLength(1);
  expect((await up(home)).started).toBe(false);
});

test('a start ends the server that a killed stack has left, and keeps its port, credentials and data', async () => {
  const home = await newHome();
  const first = await up(home);
  const before = readConnection(home);
  const server = await serverOf(home);
  const bus = await connected(home);
  await bus.ensureResources();
  await bus.keyValue('coppice-actors').create('kept', new TextEncoder().encode('yes'));
  await bus.close();

  process.kill(first.status.process.pid, 'SIGKILL');
  await eventually(() => !isRunning(first.status.process));
  expect(isRunning(server)).toBe(true);

  const lines: string[] = [];
  const second = await up(home, {}, lines);
  expect(second.started).toBe(true);
  expect(lines[0]).toContain(`ended the nats-server (process ${server.pid})`);
  expect(isRunning(server)).toBe(false);
  expect(readConnection(home)).toEqual(before);
  const again = await connected(home);
  expect(new TextDecoder().decode((await again.keyValue('coppice-actors').get('kept'))?.value)).toBe('yes');
  await again.close();
});

test('down ends the server that a killed stack left', async () => {
  const home = await newHome();
  const { status } = await up(home);
  const server = await serverOf(home);
  process.kill(status.process.pid, 'SIGKILL');
  await eventually(() => !isRunning(status.process));
  expect(await down(home)).toEqual({ stopped: false, left: { server: true, sandboxes: 3 } });
  expect(isRunning(server)).toBe(false);
});

test('a process that has reused a recorded process id is never ended', async () => {
  const home = await newHome();
  await up(home);
  await down(home);
  await using bystander = await startNatsServer();
  const reused = { pid: bystander.pid, started: 'at another time' };
  await writeFile(path.join(home.natsFolder, 'process.json'), JSON.stringify(reused));
  await writeFile(path.join(home.natsFolder, 'nats.pid'), String(bystander.pid));
  await writeFile(
    home.statusFile,
    JSON.stringify({ process: reused, phase: 'ready', lines: [], engine: null, failure: null }),
  );
  expect(await down(home)).toEqual({ stopped: false, left: { server: false, sandboxes: 0 } });
  const { started } = await up(home);
  expect(started).toBe(true);
  expect(identityOf(bystander.pid)).not.toBeNull();
});

test("a client without credentials is rejected, and only the stack's user can read them", async () => {
  const home = await newHome();
  await up(home);
  const connection = readConnection(home);
  const servers = connection?.servers ?? '';
  await expect(Bus.connect({ servers, name: 'anonymous' })).rejects.toMatchObject({ code: 'permission-denied' });
  await expect(Bus.connect({ servers, name: 'guesser', user: 'coppice', password: 'coppice' })).rejects.toMatchObject({
    code: 'permission-denied',
  });
  await (await connected(home)).close();
  for (const file of [home.connectionFile, home.statusFile, path.join(home.natsFolder, 'nats.conf'), home.logFile]) {
    expect([file, ((await stat(file)).mode & 0o777).toString(8)]).toEqual([file, '600']);
  }
  for (const folder of [path.dirname(home.connectionFile), home.natsFolder]) {
    expect([folder, ((await stat(folder)).mode & 0o777).toString(8)]).toEqual([folder, '700']);
  }
});

test('if another program uses the port, the server gets a different one', async () => {
  const home = await newHome();
  await up(home);
  const former = new URL(readConnection(home)?.servers ?? '');
  await down(home);
  const squatter = createServer().listen(Number(former.port), '127.0.0.1');
  onTestFinished(() => void squatter.close());
  await once(squatter, 'listening');
  await up(home);
  const present = new URL(readConnection(home)?.servers ?? '');
  expect(present.port).not.toBe(former.port);
  await (await connected(home)).close();
});

test('a server that dies is restarted at the same address', async () => {
  const home = await newHome();
  await up(home);
  const before = readConnection(home);
  const server = await serverOf(home);
  process.kill(server.pid, 'SIGKILL');
  const bus = await eventually(async () => ((await serverOf(home)).pid === server.pid ? null : connected(home)));
  expect(readConnection(home)).toEqual(before);
  const ping = () => bus.request('$SRV.PING.small-service', {}, { deadlineMs: 1_000 });
  await eventually(ping, { description: 'an answer of the service, which has reconnected' });
  await bus.close();
});

test('a stack that fails to start reports the reason once, with the path of its log, and leaves no process', async () => {
  const home = await newHome();
  const failure = await up(home, { SMALL_STACK_FAILS: 'yes' }).then(
    () => new Error('it started'),
    (error: unknown) => error as Error,
  );
  expect(failure).toMatchObject({ exitCode: 3 });
  expect(failure.message.match(/this service never starts/g)).toHaveLength(1);
  expect(failure.message).toContain('stack.log');
  expect(await down(home)).toEqual({ stopped: false, left: { server: false, sandboxes: 0 } });
});

import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { temporaryFolder, type TemporaryFolder } from '@coppice/testing';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createEngine } from './engine.ts';
import type { CommandEnd, Launcher, LaunchRequest, OutputSink, RunningCommand } from './launcher.ts';
import { enforceable, isPending, type SandboxSpec } from './port.ts';

let folder: TemporaryFolder;
beforeEach(async () => void (folder = await temporaryFolder('probing')));
afterEach(() => folder[Symbol.asyncDispose]());

/** A fake engine. While it is busy, its commands never end. Otherwise they end with the output that the test sets. */
class SlowLauncher implements Launcher {
  readonly name = 'bubblewrap';
  isBusy = true;
  /** Returns the output of a command. */
  answer: (script: string) => string = () => '';

  connect = async () => 'slow 1';
  ensureImage = async (image: string) => ({ image, origin: 'here' });
  // Root's ids are replaced, since no sandbox may run as root.
  defaultUser = () => ({ uid: process.getuid?.() || 10_001, gid: process.getgid?.() || 10_001 });
  endAll = async () => {};
  running = async () => new Map<string, number>();
  close = async () => {};

  async launch({ argv }: LaunchRequest, sink: OutputSink): Promise<RunningCommand> {
    const { promise, resolve } = Promise.withResolvers<CommandEnd>();
    const kill = () => resolve({ exitCode: 137, oomKilled: false });
    if (!this.isBusy) {
      sink('stdout', Buffer.from(this.answer(argv.at(-1) ?? '')));
      resolve({ exitCode: 0, oomKilled: false });
    }
    return { ended: promise, kill, pause: () => {}, resume: () => {}, firstProcess: () => undefined };
  }
}

async function engineOf(launcher: Launcher, probeMsMax = 200) {
  const stateFolder = path.join(folder.path, 'state');
  return createEngine({
    launcher,
    dataFolder: folder.path,
    stateFolder,
    stackId: 'probing',
    probeImage: 'any',
    probeMsMax,
    pauseMs: 20,
  });
}

/** Answers only the first command of a probe, like an engine on a machine that became busy after that command. */
class BusyAfterProof extends SlowLauncher {
  override async launch(request: LaunchRequest, sink: OutputSink): Promise<RunningCommand> {
    if (!request.argv.join(' ').includes('cat sentinel')) return super.launch(request, sink);
    const { readFile, writeFile } = await import('node:fs/promises');
    const workspace = request.record.mounts.find(({ target }) => target === '/workspace')?.source ?? '';
    await writeFile(path.join(workspace, 'answer'), 'written\n');
    sink('stdout', await readFile(path.join(workspace, 'sentinel')));
    const ended = Promise.resolve({ exitCode: 0, oomKilled: false });
    return { ended, kill: () => {}, pause: () => {}, resume: () => {}, firstProcess: () => undefined };
  }
}

const specification = async (requires: SandboxSpec['requires']): Promise<SandboxSpec> => {
  const source = path.join(folder.path, 'workspace');
  await mkdir(source, { recursive: true });
  return {
    id: 'sandbox',
    image: 'any',
    labels: { stackId: 'probing', tenant: 'default', runId: 'run', taskId: 'task' },
    workspace: { source, readOnly: false },
    ...(requires === undefined ? {} : { requires }),
  };
};

test('a property without an answer is unknown, neither enforced nor not enforced, until a retry determines it', async () => {
  const launcher = new BusyAfterProof();
  const engine = await engineOf(launcher);
  const { enforces } = await engine.probe();
  for (const name of enforceable)
    expect([name, enforces[name]]).toEqual([
      name,
      { enforced: null, how: expect.stringContaining('no answer within') as string },
    ]);
  // `create` waits until the property is known.
  const creating = engine.create(await specification(['pids']));
  launcher.answer = (script) => (script.includes('sleep 60') ? 'all' : '');
  launcher.isBusy = false;
  await expect(creating).rejects.toMatchObject({ code: 'engine-unavailable', retryable: false });
  const later = await engine.settled();
  expect(later.enforces.pids.enforced).toBe(false);
  expect(enforceable.filter((name) => isPending(later.enforces[name]))).toEqual([]);
  await engine.close();
});

test('if the first command of an engine is not answered in time, the error is retryable', async () => {
  const engine = await engineOf(new SlowLauncher());
  await expect(engine.probe()).rejects.toMatchObject({
    retryable: true,
    message: expect.stringContaining('no answer within') as string,
  });
  await engine.close();
});

test('a property that the image can not test is unknown, is not retried, and is rejected if it is required', async () => {
  const launcher = new BusyAfterProof();
  launcher.isBusy = false;
  launcher.answer = (script) =>
    script.includes('perl') ? (script.includes('Seccomp') ? 'Seccomp=2\nuntried=no perl\n' : 'untried\n') : '';
  const engine = await engineOf(launcher);
  const { enforces } = await engine.settled();
  expect(enforces.seccomp).toMatchObject({ enforced: null, how: expect.stringContaining('no perl') as string });
  expect(enforces.abstractSockets).toMatchObject({ enforced: null });
  await expect(engine.create(await specification(['seccomp']))).rejects.toMatchObject({
    code: 'engine-unavailable',
    retryable: false,
  });
  await engine.close();
});

test('closing the engine ends the background retries', async () => {
  const launcher = new BusyAfterProof();
  const engine = await engineOf(launcher);
  await engine.probe();
  const settled = engine.settled();
  await engine.close();
  expect((await settled).enforces.cpu.enforced).toBeNull();
});

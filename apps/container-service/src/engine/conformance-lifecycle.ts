import { readdir, symlink } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ownDraftPrefix, shortHash } from '@coppice/contracts';
import type { EngineFixture } from './conformance-fixture.ts';
import type { SandboxSpec } from './port.ts';

export function describeLifecycle(current: () => EngineFixture): void {
  describe('create and remove', () => {
    test('a repeated create returns the first sandbox; with another specification it is rejected', async () => {
      const sandbox = await current().sandbox();
      await sandbox.exec('echo kept > ~/file');
      await current().engine.create(sandbox.spec);
      expect((await sandbox.exec('cat ~/file')).stdout.text).toBe('kept\n');
      const other = { ...sandbox.spec, env: { OTHER: '1' } };
      await expect(current().engine.create(other)).rejects.toMatchObject({ code: 'already-exists' });
    });

    test('concurrent creates make one sandbox', async () => {
      const spec = await current().specification();
      await Promise.all([1, 2, 3, 4].map(() => current().engine.create(spec)));
      expect(await current().engine.list({ taskId: spec.labels.taskId })).toHaveLength(1);
    });

    test('a sandbox is listed by its labels with its number of running commands, and not by other labels', async () => {
      const sandbox = await current().sandbox();
      const { taskId, stackId } = sandbox.spec.labels;
      const createdAt = expect.any(Date) as Date;
      const info = { id: sandbox.id, labels: sandbox.spec.labels, createdAt, running: 0 };
      expect(await current().engine.list({ stackId, taskId })).toEqual([info]);
      expect(await current().engine.list({ stackId: 'another', taskId })).toEqual([]);
      // The command may fail when `stop` ends it. This test only waits for its end.
      const running = sandbox.exec('sleep 30').catch(() => undefined);
      await expect.poll(() => current().engine.list({ taskId })).toEqual([{ ...info, running: 1 }]);
      await current().engine.stop(sandbox.id);
      await running;
      await expect.poll(() => current().engine.list({ taskId })).toEqual([info]);
    });

    test('remove ends running commands, can be repeated, and leaves nothing', async () => {
      const sandbox = await current().sandbox();
      // Folders without permissions and folders deeper than the maximum path length must be removed too.
      await sandbox.exec('mkdir -p ~/locked/in && touch ~/locked/in/file && chmod 000 ~/locked');
      const deep = 'chdir; for (1 .. 60) { mkdir "d" x 200 or die $!; chdir "d" x 200 or die $! }';
      expect(await sandbox.exec(['perl', '-e', deep])).toMatchObject({ exitCode: 0, stderr: { text: '' } });
      // Handles the rejection now, since the command may end before the removal is finished.
      const running = sandbox.exec('sleep 30').catch((error: unknown) => error);
      await new Promise((resolve) => setTimeout(resolve, 300));
      await current().engine.remove(sandbox.id);
      const ended = await running;
      expect(ended instanceof Error || (ended as { exitCode: number }).exitCode !== 0).toBe(true);
      await current().engine.remove(sandbox.id);
      expect(await current().engine.list({ taskId: sandbox.spec.labels.taskId })).toEqual([]);
      await expect(sandbox.exec('true')).rejects.toMatchObject({ code: 'sandbox-not-found' });
      await current().engine.create(sandbox.spec);
      expect((await sandbox.exec('ls -A ~')).stdout.text).toBe('');
    });

    test('run creates, executes and removes, and first removes a leftover sandbox with the same id', async () => {
      const spec = await current().specification();
      await current().engine.create({ ...spec, env: { LEFT: 'over' } });
      const result = await current().engine.run(spec, 'echo "[$LEFT]"; exit 4');
      expect(result).toMatchObject({ exitCode: 4, stdout: { text: '[]\n' } });
      await expect(current().engine.exec(spec.id, 'true')).rejects.toMatchObject({ code: 'sandbox-not-found' });
    });

    test('writeFile creates folders, replaces a file, and writes exactly the given bytes', async () => {
      const sandbox = await current().sandbox();
      const bytes = Buffer.from([0, 1, 2, 255, 10, 13]);
      await current().engine.writeFile(sandbox.id, 'a/b c/file', Buffer.from('old'));
      await current().engine.writeFile(sandbox.id, 'a/b c/file', bytes);
      await current().engine.writeFile(sandbox.id, 'run', Buffer.from('#!/bin/sh\necho ran\n'), { executable: true });
      expect((await sandbox.exec('od -An -tu1 "a/b c/file"')).stdout.text.trim().split(/\s+/)).toEqual(
        [...bytes].map(String),
      );
      expect((await sandbox.exec('./run')).stdout.text).toBe('ran\n');
      await expect(current().engine.writeFile(sandbox.id, 'a', bytes)).rejects.toMatchObject({
        code: 'sandbox-failed',
      });
    });
  });

  test(
    'concurrent writes of one file do not disturb each other, and leave no other file',
    { timeout: 120_000 },
    async () => {
      const sandbox = await current().sandbox();
      const bytes = Buffer.alloc(200_000, 'x');
      for (let count = 0; count < 30; count++) {
        const write = () => current().engine.writeFile(sandbox.id, `folder-${count}/file`, bytes);
        await Promise.all([write(), write()]);
      }
      const counted = await sandbox.exec(
        'find . -type f | wc -l; find . -type f -size -200000c | wc -l; ls -A folder-7',
      );
      expect(counted.stdout.text.split(/\s+/)).toEqual(['30', '0', 'file', '']);
      // If draft names were predictable, an agent could block a write with such a folder.
      await sandbox.exec('mkdir planted.coppice-new');
      await current().engine.writeFile(sandbox.id, 'planted', bytes);
      // Simulates an interrupted write that left its draft.
      const draft = `${ownDraftPrefix}${shortHash('task_x_1_1')}-left`;
      await sandbox.exec(`echo part > folder-7/${draft}; echo other > folder-7/${ownDraftPrefix}other-left`);
      const write = () =>
        current().engine.writeFile(sandbox.id, 'folder-7/file', Buffer.from('new'), { effectId: 'task_x_1_1' });
      await Promise.all([write(), write()]);
      const left = await sandbox.exec('ls -A folder-7; cat folder-7/file');
      expect(left.stdout.text).toBe(`${ownDraftPrefix}other-left\nfile\nnew`);
    },
  );

  describe('rejects', () => {
    const expectRefused = async (overrides: Partial<SandboxSpec>, text: RegExp | string) => {
      const spec = await current().specification(overrides);
      await expect(current().engine.create(spec)).rejects.toMatchObject({
        code: 'sandbox-refused',
        message: expect.stringMatching(text) as string,
      });
    };
    const mount = (source: string, target = '/data', readOnly = true) => ({ mounts: [{ source, target, readOnly }] });

    test('a source outside of the data folder', async () => {
      for (const source of ['/etc', '/', `${current().data}/../..`])
        await expectRefused(mount(source), /outside|symbolic|normal/);
      await expectRefused({ workspace: { source: '/tmp', readOnly: false } }, /workspace\.source .* outside/);
      await expectRefused(mount(current().data), 'outside');
    });

    test('a source that leads through a symbolic link, even one that was created after the sandbox', async () => {
      const real = await current().folder();
      const link = join(current().data, `link-${Date.now()}`);
      await symlink(real, link);
      await expectRefused(mount(link), 'symbolic link');
      await symlink('/etc', join(real, 'out'));
      await expectRefused(mount(join(real, 'out')), 'symbolic link');

      const outer = await current().sandbox();
      await outer.exec('mkdir inner');
      const inner = await current().sandbox({ workspace: { source: join(outer.workspace, 'inner'), readOnly: false } });
      await outer.exec('rmdir inner && ln -s /etc inner');
      await expect(inner.exec('ls')).rejects.toMatchObject({ code: 'sandbox-refused' });
    });

    test('a source that is missing, a socket, or the engine’s own folder', async () => {
      await expectRefused(mount(join(current().data, 'missing')), "doesn't exist");
      const socketPath = join(current().data, 'socket');
      const server = createServer().listen(socketPath);
      await new Promise((resolve) => server.once('listening', resolve));
      await expectRefused(mount(socketPath), 'neither a folder nor a plain file').finally(() => server.close());
      await expectRefused(mount(join(current().data, 'engine')), "engine's own folder");
      for (const docker of ['/var/run/docker.sock', '/run/docker.sock']) {
        await expectRefused(mount(docker), /outside|symbolic|exist/);
      }
    });

    test('a target that would cover the system, isn’t normalized or occurs twice', async () => {
      const source = await current().folder();
      for (const target of [
        '/',
        '/etc',
        '/usr/bin',
        '/proc',
        '/dev/x',
        '/tmp',
        '/home',
        '/home/agent',
        'relative',
        '/a/../etc',
        '/a/',
      ]) {
        await expectRefused(mount(source, target), 'target');
      }
      await expectRefused(mount(source, '/workspace'), 'workspace');
      await expectRefused({ mounts: [...mount(source, '/a').mounts, ...mount(source, '/a').mounts] }, 'twice');
    });

    test('root, bad names and limits out of range', async () => {
      await expectRefused({ user: { uid: 0, gid: 0 } }, 'root');
      await expectRefused({ user: { uid: 10001, gid: 0 } }, 'root');
      await expectRefused({ image: '../../etc' }, 'image');
      await expectRefused({ env: { 'BAD NAME': '1' } }, 'environment');
      await expectRefused({ limits: { pids: 0 } }, 'limits.pids');
      await expectRefused({ limits: { memoryBytes: 1 } }, 'limits.memoryBytes');
      const spec = await current().specification();
      for (const id of ['', '../x', 'A', 'a/b']) {
        await expect(current().engine.create({ ...spec, id })).rejects.toMatchObject({ code: 'sandbox-refused' });
      }
    });

    test('a write to the host through a link that a command created', async () => {
      const sandbox = await current().sandbox();
      if (current().engine.name === 'none') return;
      const outside = await current().folder();
      await sandbox.exec(`ln -s ${outside} out`);
      await current()
        .engine.writeFile(sandbox.id, 'out/file', Buffer.from('x'))
        .catch(() => undefined);
      expect(await readdir(outside)).toEqual([]);
    });
  });
}

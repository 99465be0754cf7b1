import { chmod, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { temporaryFolder } from '@coppice/testing';
import Docker from 'dockerode';
import { expect, test } from 'vitest';
import { EngineFixture, isRequired, testLaunchers, untestableReason } from './conformance-fixture.ts';
import { describeConformance } from './conformance.ts';
import { dockerLauncher } from './docker.ts';
import { defaultImage, localRootfsKey } from './local-image.ts';
import { enforceable } from './port.ts';

const socketPath = process.env['COPPICE_DOCKER_SOCKET'];

const makeLauncher = testLaunchers.docker;

await describeConformance({
  engine: 'docker',
  makeLauncher,
  // If a stack doesn't run as root, its sandboxes run as the stack's own user, so that the stack can delete their files.
  mustEnforce: enforceable.filter((name) => name !== 'ownUid' || process.getuid?.() === 0),
});

/** Probes an engine that translates the workspace's path to a different folder. */
async function probedElsewhere(elsewhere: string) {
  const fixture = await EngineFixture.start((options) =>
    dockerLauncher({
      ...options,
      ...(socketPath === undefined ? {} : { socketPath }),
      pathTranslation: (path) => (path.endsWith('/workspace') ? elsewhere : path),
    }),
  );
  try {
    return await fixture.engine.probe().catch((error: unknown) => error);
  } finally {
    await fixture.stop();
  }
}

test('a translation of paths that leads to a different folder is rejected, even if everything in it can be read and written', async (context) => {
  const reason = await untestableReason(makeLauncher);
  if (reason !== undefined && !isRequired('docker')) context.skip(reason);
  await using folder = await temporaryFolder('elsewhere');
  const elsewhere = join(folder.path, 'workspace');
  await mkdir(elsewhere);
  await writeFile(join(elsewhere, 'sentinel'), 'of another stack', { mode: 0o644 });
  await chmod(elsewhere, 0o777);
  expect(await probedElsewhere(elsewhere)).toMatchObject({
    code: 'engine-unavailable',
    message: expect.stringContaining('it mounts a different folder for') as string,
  });
  // The probe's command succeeded in the wrong folder. Only the comparison of its content failed.
  expect(await readFile(join(elsewhere, 'answer'), 'utf8')).toBe('written\n');
});

test('a translation of paths that leads to a missing folder is rejected, and the folder is not created', async (context) => {
  const reason = await untestableReason(makeLauncher);
  if (reason !== undefined && !isRequired('docker')) context.skip(reason);
  await using folder = await temporaryFolder('elsewhere');
  const missing = join(folder.path, 'missing');
  expect(await probedElsewhere(missing)).toMatchObject({ message: expect.stringContaining(missing) as string });
  expect(await readdir(folder.path)).toEqual([]);
});

test('the volumes that an image declares become scratch folders of limited size, not folders of the host', async (context) => {
  const reason = await untestableReason(makeLauncher);
  if (reason !== undefined && !isRequired('docker')) context.skip(reason);
  const docker = new Docker(socketPath === undefined ? {} : { socketPath });
  const repo = `coppice-test-volumes-${process.pid}`;
  const fixture = await EngineFixture.start(makeLauncher);
  await fixture.engine.ensureImage(defaultImage);
  // Uses the image's first tag, since the process that made the image may not have set the tag `latest` yet.
  const image = `${defaultImage}:${await localRootfsKey()}`;
  const container = await docker.createContainer({ Image: image, Cmd: ['true'] });
  try {
    await container.commit({ repo, tag: '1', changes: 'VOLUME ["/vol","/tmp"]' });
    const sandbox = await fixture.sandbox({ image: `${repo}:1`, limits: { scratchBytes: 1024 * 1024 } });
    const result = await sandbox.exec(
      'grep -c " /vol tmpfs " /proc/mounts; head -c 3000000 /dev/zero > /vol/big; wc -c < /vol/big',
    );
    expect(result.stdout.text).toBe('1\n1048576\n');
    expect((await sandbox.exec('ls -A /vol; grep -c " /tmp tmpfs " /proc/mounts')).stdout.text).toBe('1\n');
    // The command may fail when `stop` ends it. This test only waits for its end.
    const running = sandbox.exec('sleep 30').catch(() => undefined);
    const label = [`coppice.sandbox=${sandbox.id}`];
    const [info] = await expect
      .poll(() => docker.listContainers({ filters: { label } }))
      .toHaveLength(1)
      .then(() => docker.listContainers({ filters: { label } }));
    expect(info?.Mounts.filter(({ Type }) => Type === 'volume')).toEqual([]);
    await fixture.engine.stop(sandbox.id);
    await running;
  } finally {
    await container.remove({ force: true, v: true });
    await docker
      .getImage(`${repo}:1`)
      .remove({ force: true })
      .catch(() => undefined);
    await fixture.stop();
  }
});

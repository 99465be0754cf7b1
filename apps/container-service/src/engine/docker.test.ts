import Docker from 'dockerode';
import { expect, test } from 'vitest';
import { EngineFixture, isRequired, whyUntestable, type LauncherFactory } from './conformance-fixture.ts';
import { describeConformance } from './conformance.ts';
import { dockerLauncher } from './docker.ts';
import { defaultImage } from './local-image.ts';
import { enforceable } from './port.ts';

const socketPath = process.env['COPPICE_DOCKER_SOCKET'];

const makeLauncher: LauncherFactory = ({ stateFolder, imagesFolder, stackId }) =>
  dockerLauncher({ stateFolder, imagesFolder, stackId, ...(socketPath === undefined ? {} : { socketPath }) });

await describeConformance({
  engine: 'docker',
  makeLauncher,
  // A stack that isn't root runs its sandboxes as itself, so that it can delete what they made.
  mustEnforce: enforceable.filter((name) => name !== 'ownUid' || process.getuid?.() === 0),
});

test('what an image declares as volumes is scratch of limited size, and no folder of the host', async (context) => {
  const reason = await whyUntestable(makeLauncher);
  if (reason !== undefined && !isRequired('docker')) context.skip(reason);
  const docker = new Docker(socketPath === undefined ? {} : { socketPath });
  const repo = `coppice-test-volumes-${process.pid}`;
  const fixture = await EngineFixture.start(makeLauncher);
  await fixture.engine.ensureImage(defaultImage);
  const container = await docker.createContainer({ Image: defaultImage, Cmd: ['true'] });
  try {
    await container.commit({ repo, tag: '1', changes: 'VOLUME ["/vol","/tmp"]' });
    const sandbox = await fixture.sandbox({ image: `${repo}:1`, limits: { scratchBytes: 1024 * 1024 } });
    const result = await sandbox.exec(
      'grep -c " /vol tmpfs " /proc/mounts; head -c 3000000 /dev/zero > /vol/big; wc -c < /vol/big',
    );
    expect(result.stdout.text).toBe('1\n1048576\n');
    expect((await sandbox.exec('ls -A /vol; grep -c " /tmp tmpfs " /proc/mounts')).stdout.text).toBe('1\n');
    const running = sandbox.exec('sleep 30');
    const label = [`coppice.sandbox=${sandbox.id}`];
    const [info] = await expect
      .poll(() => docker.listContainers({ filters: { label } }))
      .toHaveLength(1)
      .then(() => docker.listContainers({ filters: { label } }));
    expect(info?.Mounts.filter(({ Type }) => Type === 'volume')).toEqual([]);
    await fixture.engine.stop(sandbox.id);
    await running.catch(() => undefined);
  } finally {
    await container.remove({ force: true, v: true });
    await docker
      .getImage(`${repo}:1`)
      .remove({ force: true })
      .catch(() => undefined);
    await fixture.stop();
  }
});

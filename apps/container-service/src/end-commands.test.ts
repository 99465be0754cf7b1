import { chmod, chown, mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { eventually, temporaryFolder } from '@coppice/testing';
import { expect, test } from 'vitest';
import { endCommands } from './end-commands.ts';
import { hostHasProcess } from './engine/conformance-fixture.ts';
import { createEngine } from './engine/engine.ts';
import { defaultImage } from './engine/local-image.ts';
import { noneLauncher } from './engine/none.ts';
import { placeOf } from './place.ts';

test('a command that a killed stack had not recorded yet is ended', async () => {
  await using folder = await temporaryFolder('end-commands');
  // Engine none has no mounts, so its user must be able to enter the folder.
  await chmod(folder.path, 0o755);
  const { dataFolder, stateFolder, stackId } = await placeOf(folder.path);
  const launcher = noneLauncher({ stateFolder });
  const engine = await createEngine({
    launcher,
    dataFolder: dataFolder.real,
    stateFolder,
    stackId,
    probeImage: defaultImage,
  });
  const workspace = path.join(dataFolder.real, 'workspace');
  await mkdir(workspace);
  const { uid, gid } = launcher.defaultUser();
  if (process.getuid?.() === 0) await chown(workspace, uid, gid);
  const seconds = `301.${process.pid}`;
  await engine.create({
    id: 'sandbox',
    image: defaultImage,
    labels: { stackId, tenant: 'default', runId: 'run', taskId: 'task' },
    workspace: { source: workspace, readOnly: false },
    limits: { memoryBytes: 256 * 1024 * 1024, pids: 64, cpus: 1, scratchBytes: 8 * 1024 * 1024 },
  });
  const command = engine.exec('sandbox', `sleep ${seconds}`);
  await eventually(() => hostHasProcess(`sleep\0${seconds}`));
  // Simulates a stack that was killed between the start of the command and its record.
  await rm(path.join(stateFolder, 'running'), { recursive: true });

  await endCommands('none', { dataFolder: folder.path });
  expect(await hostHasProcess(`sleep\0${seconds}`)).toBe(false);
  expect((await command).exitCode).not.toBe(0);
  await engine.remove('sandbox');
  await engine.close();
});

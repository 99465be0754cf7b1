import { readdir, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { buckets, ownDraftPattern } from '@coppice/contracts';
import { eventually, startNatsServer, startProcess, temporaryFolder } from '@coppice/testing';
import { expect, test } from 'vitest';
import { hostHasProcess, isRequired, testImagesFolder } from './engine/conformance-fixture.ts';
import { chooseEngine } from './index.ts';
import { ownerOf, specificationIn, startOrchestrator } from './test-support/orchestrator.ts';

const program = path.join(import.meta.dirname, 'main.ts');
const taskId = 'taaaaaaaaaaaaaaaa';
/**
 * Time in milliseconds within which another process takes over a command. It takes over when the dead process's
 * membership and the command's ack wait have expired. Each of them takes 15 s.
 */
const takeOverMsMax = 75_000;

const writtenBytes = 48 * 1024 * 1024;

const engines = ['docker', 'bubblewrap'] as const;

async function untestableReason(dataFolder: string, choice: (typeof engines)[number]): Promise<string | undefined> {
  const settings = { choice, dataFolder, stateFolder: path.join(dataFolder, 'probe'), stackId: 'crash' };
  const found = {
    imagesFolder: testImagesFolder,
    dockerSocket: process.env['COPPICE_DOCKER_SOCKET'],
    bubblewrapProgram: process.env['COPPICE_BWRAP'],
  };
  try {
    const { engine } = await chooseEngine({ ...settings, ...found });
    await engine.close();
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

test.concurrent.for(engines)(
  'if a service on %s is killed, its commands end, an exec and a run become unknown, and a write is repeated and leaves no other file',
  { timeout: 150_000 },
  async (engineName, context) => {
    await using folder = await temporaryFolder('container-crash');
    const reason = await untestableReason(folder.path, engineName);
    if (reason !== undefined && !isRequired(engineName)) context.skip(reason);
    const nats = await startNatsServer({ auth: true });
    const orchestrator = await startOrchestrator(nats);
    const start = () =>
      startProcess(program, [], {
        ...nats.environment,
        COPPICE_DATA: folder.path,
        COPPICE_IMAGES: testImagesFolder,
        COPPICE_ENGINE: engineName,
        COPPICE_NODE: 'here',
        COPPICE_LOG_LEVEL: 'info',
      });
    try {
      await using doomed = start();
      await doomed.waitForLine('"msg":"started"');
      const specification = await specificationIn(folder.path, taskId);
      const other = await specificationIn(folder.path, 'tbbbbbbbbbbbbbbbb');
      await orchestrator.done('task_x_1_1', 'create', specification);
      const marker = `coppice${process.pid}crash${engineName}`;
      const shell = `echo ran >> runs; if [ "$(wc -l < runs)" = 1 ]; then sh -c ': ${marker}; sleep 300; :'; fi`;
      const command = { shell, timeLimitMs: 200_000 };
      await orchestrator.order('task_x_1_2', 'exec', {
        owner: ownerOf(taskId),
        sandboxId: specification.sandboxId,
        command,
      });
      await orchestrator.order('task_y_1_1', 'run', { specification: other, command });
      const runs = ({ mounts }: typeof other) =>
        readFile(path.join(mounts[0]?.source ?? '', 'runs'), 'utf8').catch(() => '');
      await eventually(async () =>
        (await runs(specification)) === 'ran\n' && (await runs(other)) === 'ran\n' ? true : undefined,
      );
      expect(await hostHasProcess(marker)).toBe(true);
      // With a tenth of a processor, the write is still in progress when the service is killed.
      const limits = { ...specification.limits, cpus: 0.1 };
      const written = await specificationIn(folder.path, 'tcccccccccccccccc', { limits });
      await orchestrator.done('task_z_1_1', 'create', written);
      const artifact = 'default/tcccccccccccccccc/content';
      await (await orchestrator.bus.objects(buckets.artifacts)).put(artifact, Buffer.alloc(writtenBytes, 'x'));
      await orchestrator.order('task_z_1_2', 'write', {
        owner: ownerOf('tcccccccccccccccc'),
        sandboxId: written.sandboxId,
        path: 'docs/large.txt',
        content: { artifact },
      });
      const docs = path.join(written.mounts[0]?.source ?? '', 'docs');
      const [draft] = await eventually(async () => {
        const names = await readdir(docs).catch(() => []);
        return names.length > 0 ? names : undefined;
      });
      // Imports skip files whose name matches this pattern. So they skip the draft if no process repeats the write.
      expect(draft).toMatch(ownDraftPattern);
      await doomed.kill('SIGKILL');
      // With bubblewrap, the kernel ends the namespace when its parent process dies. With Docker, the container belongs to the daemon and
      // runs until another process takes over and ends it.
      if (engineName === 'bubblewrap')
        await eventually(async () => ((await hostHasProcess(marker)) ? undefined : true));

      await using successor = start();
      await successor.waitForLine('"msg":"started"');
      const exec = await orchestrator.resultOf('task_x_1_2', { timeoutMs: takeOverMsMax });
      expect(exec).toMatchObject({ status: 'failed', error: { code: 'unknown' } });
      expect(await runs(specification)).toBe('ran\n');
      const run = await orchestrator.resultOf('task_y_1_1', { timeoutMs: takeOverMsMax });
      expect(run).toMatchObject({ status: 'failed', error: { code: 'unknown' } });
      expect(await runs(other)).toBe('ran\n');
      expect(await hostHasProcess(marker)).toBe(false);
      const write = await orchestrator.resultOf('task_z_1_2', { timeoutMs: takeOverMsMax });
      expect(write).toEqual({ status: 'done', output: { bytes: writtenBytes } });
      expect(await readdir(docs)).toEqual(['large.txt']);
      expect((await stat(path.join(docs, 'large.txt'))).size).toBe(writtenBytes);
      const sandboxes = path.join(folder.path, 'container-service/sandboxes');
      expect((await readdir(sandboxes)).toSorted()).toEqual([specification.sandboxId, written.sandboxId]);

      await orchestrator.done('task_x_1_3', 'remove', { owner: ownerOf(taskId), sandboxId: specification.sandboxId });
      // With Docker, this sandbox still has the container of the interrupted write.
      await orchestrator.done('task_z_1_3', 'remove', { owner: written.owner, sandboxId: written.sandboxId });
      successor.signal('SIGTERM');
      expect(await successor.exited).toEqual({ code: 0, signal: null });
    } finally {
      await orchestrator.close();
      await nats.stop();
    }
  },
);

test('the program reports what is wrong with its configuration', async () => {
  await using started = startProcess(program, [], { COPPICE_ENGINE: 'dokcer' });
  await started.waitForLine(/COPPICE_ENGINE.*one of auto, docker, bubblewrap, none/);
  expect((await started.exited).code).not.toBe(0);
});

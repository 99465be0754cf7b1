import { access, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { commandConsumer, CoppiceError, landingPool, streams } from '@coppice/contracts';
import { startService, type StartedService } from '@coppice/service';
import { eventually, startNatsServer, temporaryFolder } from '@coppice/testing';
import { expect, test } from 'vitest';
import { isRequired, testImagesFolder } from './engine/conformance-fixture.ts';
import { startContainerService } from './index.ts';
import { specificationIn, startOrchestrator } from './test-support/orchestrator.ts';

const node = 'here';

test('a command that a landing waits for starts while other commands wait for a slot', async (context) => {
  await using folder = await temporaryFolder('landing-pool');
  await using nats = await startNatsServer({ auth: true });
  const orchestrator = await startOrchestrator(nats);
  let service: StartedService | undefined;
  try {
    service = await startService({
      name: 'container-service',
      version: '0.0.0',
      node,
      connection: nats.connection,
      makesResources: true,
      start: (parts) =>
        startContainerService(parts, {
          dataFolder: folder.path,
          imagesFolder: testImagesFolder,
          dockerSocket: process.env['COPPICE_DOCKER_SOCKET'],
          bubblewrapProgram: process.env['COPPICE_BWRAP'],
          concurrency: 1,
        }),
    }).catch((error: unknown) => {
      const hasNoEngine = error instanceof CoppiceError && error.code === 'engine-unavailable';
      if (!hasNoEngine || isRequired('docker') || isRequired('bubblewrap')) throw error;
      return context.skip(error.message);
    });
    const order = async (name: string, shell: string, pool: string) => {
      const specification = await specificationIn(folder.path, `t${name.padEnd(16, 'a')}`);
      const input = { specification, command: { shell, timeLimitMs: 100_000 } };
      await orchestrator.order(`task_${name}_1_1`, 'run', input, pool);
      return {
        workspace: specification.mounts[0]?.source ?? '',
        done: () => orchestrator.resultOf(`task_${name}_1_1`),
      };
    };
    const untilReleased = 'touch begun; until [ -e go ]; do sleep 0.1; done';
    const first = await order('first', untilReleased, node);
    await eventually(() => access(join(first.workspace, 'begun')).then(() => true), { timeoutMs: 60_000 });
    const others = await Promise.all(['b', 'c', 'd'].map((name) => order(name, 'true', node)));
    const landing = await order('landing', 'true', landingPool(node));
    expect(await landing.done()).toMatchObject({ status: 'done', output: { exitCode: 0 } });
    expect(await orchestrator.bus.backlog(streams.commands, commandConsumer('container-service', node))).toMatchObject({
      pending: others.length,
      unacknowledged: 1,
    });
    await writeFile(join(first.workspace, 'go'), '');
    for (const { done } of [first, ...others]) expect(await done()).toMatchObject({ status: 'done' });
  } finally {
    await service?.stop();
    await orchestrator.close();
  }
});

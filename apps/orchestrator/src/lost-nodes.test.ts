import { handle, joinMembers, serveCommands } from '@coppice/bus';
import { CoppiceError, sandboxOperations, worktreeOperations } from '@coppice/contracts';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { startOrchestratorAlone } from './test-support/orchestrator-alone.ts';
import type { OrchestratorAlone } from './test-support/orchestrator-alone.ts';

/** Tests tasks whose files are on a host that doesn't return. */
const gone = 'node9';
let alone: OrchestratorAlone;
beforeAll(async () => {
  alone = await startOrchestratorAlone({ nodeLostAfterMs: 1_000 });
  // The services of the lost host run once, so that their queues exist.
  for (const service of ['container-service', 'worktree-service'] as const) await (await host(service)).leave();
}, 30_000);
afterEach(() => alone.services.reset());
afterAll(() => alone?.stop());

/** A service of the lost host. It rejects `create` with this message. */
async function host(service: 'container-service' | 'worktree-service', create = 'the image of this host is missing') {
  const member = await joinMembers(alone.bus, { service, node: gone });
  const handlers =
    service === 'worktree-service'
      ? [handle(worktreeOperations.remove, async () => ({ rescue: null }))]
      : [
          handle(sandboxOperations.create, async () => {
            throw new CoppiceError('image-not-found', create);
          }),
          handle(sandboxOperations.remove, async () => ({})),
        ];
  const server = await serveCommands(alone.bus, { service, pools: [gone], concurrency: 1, member, handlers });
  return {
    leave: async () => {
      await server.stop();
      await member.leave();
    },
  };
}

const prepareOnGone = () =>
  alone.services.on('worktree.prepare', async (_input, standard) => ({ ...(await standard()), node: gone }));

test('fail with the host’s name, let their dependants be skipped and keep no others waiting', async () => {
  prepareOnGone();
  const { runId } = await alone.submit([{ name: 'a' }, { name: 'b', dependsOn: ['a'] }]);
  const { state, tasks } = await alone.ended(runId);
  expect(state).toBe('failed');
  const lost = `its host ${gone} is gone: no container-service has been there for 1 s`;
  expect(tasks[0]?.reason).toContain(lost);
  expect(tasks[1]).toMatchObject({ state: 'failed', reason: 'depends on a, which ended as failed' });
  alone.services.reset();
  const other = await alone.submit([{ name: 'c' }]);
  expect((await alone.ended(other.runId)).state).toBe('succeeded');
});

test('go to the host again once it is back', async () => {
  prepareOnGone();
  const first = await alone.submit([{ name: 'a' }]);
  expect((await alone.ended(first.runId)).tasks[0]?.reason).toContain('is gone');
  const hosts = [await host('container-service', 'it is back'), await host('worktree-service')];
  // Until its next check, the orchestrator still answers the host's commands as failed.
  for (;;) {
    const { runId } = await alone.submit([{ name: 'a' }]);
    const reason = (await alone.ended(runId)).tasks[0]?.reason;
    if (reason === 'it is back') break;
    expect(reason).toContain('is gone');
  }
  for (const each of hosts) await each.leave();
});

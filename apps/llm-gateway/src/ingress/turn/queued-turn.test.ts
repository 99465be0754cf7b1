import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually, startNatsServer, startProcess, startTcpProxy, temporaryFolder } from '@coppice/testing';
import { expect, test } from 'vitest';
import { readCount } from '../../index.ts';
import { startOrchestrator } from '../../test-support/orchestrator.ts';

const retryAfterMs = 8_000;
const program = path.join(import.meta.dirname, '../../test-programs/gateway-process.ts');

test('a gateway that is disconnected while it waits for a retry sends no request before its claim is confirmed', async () => {
  await using folder = await temporaryFolder('queued-turn');
  // During this wait, the test disconnects the gateway until it counts as lost.
  await writeFile(
    path.join(folder.path, 'plan.yaml'),
    `default: { turns: [{ text: done, fault: { kind: limited, retryAfterMs: ${retryAfterMs}, times: 1 } }] }`,
  );
  await using nats = await startNatsServer({ auth: true });
  await using proxy = await startTcpProxy(Number(new URL(nats.url).port));
  const orchestrator = await startOrchestrator(nats);
  const countFile = path.join(folder.path, 'count');
  const environment = {
    ...nats.environment,
    COPPICE_SCRIPTS: folder.path,
    COPPICE_SCRIPTED_COUNT_FILE: countFile,
    COPPICE_LOST_AFTER_MS: '2000',
    COPPICE_NODE: 'here',
    COPPICE_LOG_LEVEL: 'info',
  };
  const requestedEffects = async () =>
    (await readCount(countFile)).filter(({ event }) => event === 'requested').map(({ effectId }) => effectId);
  await using one = startProcess(program, [], { ...environment, NATS_URL: `nats://127.0.0.1:${proxy.port}` });
  await one.waitForLine('"msg":"started"');
  const taskId = 'tbbbbbbbbbbbbbbbb';
  const first = { effectId: `task_${taskId}_1_1`, taskId, model: 'scripted/plan.yaml', prompt: 'write it' };
  await orchestrator.order(first);
  await eventually(async () => (await requestedEffects()).length > 0, { timeoutMs: 30_000 });
  const requestedAtMs = performance.now();
  const before = await requestedEffects();
  await using other = startProcess(program, [], environment);
  await other.waitForLine('"msg":"started"');
  proxy.cut();
  expect(await orchestrator.resultOf(first.effectId, { timeoutMs: 60_000 })).toMatchObject({
    status: 'failed',
    error: { code: 'unknown' },
  });
  // Waits until the time of the retry has passed. The task may repeat a call that ended with `unknown`, so the
  // disconnected gateway must not retry it.
  await sleep(Math.max(0, requestedAtMs + retryAfterMs + 3_000 - performance.now()));
  expect((await requestedEffects()).filter((id) => id === first.effectId)).toEqual(before);
  proxy.heal();
  await orchestrator.close();
}, 180_000);

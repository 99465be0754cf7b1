/**
 * Tests two gateways during faults that both survive. Each model call stays with its gateway, and its model is called
 * once.
 */
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually, startNatsServer, startProcess, temporaryFolder } from '@coppice/testing';
import { expect, test } from 'vitest';
import { readCount } from './index.ts';
import { startOrchestrator } from './test-support/orchestrator.ts';

const program = path.join(import.meta.dirname, 'test-programs/gateway-process.ts');
const lostAfterMs = 3_000;
/** Longer than the server's outage, so that answers arrive after the restart. */
const latencyMs = 6_000;
const deadline = { timeoutMs: 60_000 };
const turns = Array.from({ length: 16 }, (_, index) => {
  const taskId = `t${index.toString().padStart(16, 'a')}`;
  return { effectId: `task_${taskId}_1_1`, taskId, model: 'scripted/plan.yaml', prompt: 'write it' };
});

async function setUp() {
  const folder = await temporaryFolder('gateway-outage');
  const quick = 'rules: [{ name: quick, when: { contains: quick }, turns: [{ text: done }] }]';
  const slow = `default: { turns: [{ text: done, latencyMs: ${latencyMs} }] }`;
  await writeFile(path.join(folder.path, 'plan.yaml'), `${quick}\n${slow}`);
  const nats = await startNatsServer({ auth: true });
  const orchestrator = await startOrchestrator(nats);
  const countFile = path.join(folder.path, 'count');
  const environment = {
    ...nats.environment,
    COPPICE_SCRIPTS: folder.path,
    COPPICE_SCRIPTED_COUNT_FILE: countFile,
    COPPICE_LOST_AFTER_MS: `${lostAfterMs}`,
    COPPICE_NODE: 'here',
    COPPICE_LOG_LEVEL: 'info',
  };
  return {
    nats,
    orchestrator,
    startGateway: async () => {
      const gateway = startProcess(program, [], environment);
      await gateway.waitForLine('"msg":"started"');
      return gateway;
    },
    requestedEffects: async () =>
      (await readCount(countFile)).filter((line) => line.event === 'requested').map((line) => line.effectId),
    [Symbol.asyncDispose]: async () => {
      await orchestrator.close();
      await nats.stop();
      await folder.remove();
    },
  };
}

test('no gateway counts as lost after the server was down for longer than a process may be silent', async () => {
  await using stack = await setUp();
  const { nats, orchestrator, requestedEffects } = stack;
  await using one = await stack.startGateway();
  await using other = await stack.startGateway();
  expect(other.pid).not.toBe(one.pid);
  for (const turn of turns) await orchestrator.order(turn);
  await eventually(async () => (await requestedEffects()).length === turns.length, deadline);
  await nats.kill();
  await sleep(1.2 * lostAfterMs);
  // Both memberships have expired. One gateway continues later than the other.
  one.signal('SIGSTOP');
  await nats.restart();
  await sleep(0.5 * lostAfterMs);
  one.signal('SIGCONT');
  for (const { effectId } of turns)
    expect(await orchestrator.resultOf(effectId, deadline)).toMatchObject({ status: 'done' });
  expect((await requestedEffects()).toSorted()).toEqual(turns.map(({ effectId }) => effectId).toSorted());
}, 120_000);

test('a repeated turn gets the answer that the gateway considered lost has stored after all', async () => {
  await using stack = await setUp();
  const { orchestrator, requestedEffects } = stack;
  await using gateway = await stack.startGateway();
  const taskId = 'tbbbbbbbbbbbbbbbb';
  const first = { effectId: `task_${taskId}_1_1`, taskId, model: 'scripted/plan.yaml', prompt: 'be quick' };
  await orchestrator.order(first);
  await orchestrator.resultOf(first.effectId, deadline);
  const again = { ...first, effectId: `task_${taskId}_1_3`, lostTurns: [`task_${taskId}_1_2`, first.effectId] };
  await orchestrator.order(again);
  expect(await orchestrator.resultOf(again.effectId, deadline)).toMatchObject({
    status: 'done',
    output: { turnId: first.effectId, text: { text: 'done' } },
  });
  const unrelated = { ...first, effectId: `task_${taskId}_1_4`, lostTurns: [`task_${taskId}_1_2`] };
  await orchestrator.order(unrelated);
  expect(await orchestrator.resultOf(unrelated.effectId, deadline)).toMatchObject({
    output: { turnId: unrelated.effectId },
  });
  expect(await requestedEffects()).toEqual([first.effectId, unrelated.effectId]);
  gateway.signal('SIGTERM');
  expect(await gateway.exited).toEqual({ code: 0, signal: null });
});

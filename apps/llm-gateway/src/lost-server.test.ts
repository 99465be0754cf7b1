/** Tests model calls whose answer can't be stored, either temporarily or permanently. */
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { inlineTextBytesMax } from '@coppice/contracts';
import { startService } from '@coppice/service';
import { eventually, startNatsServer, temporaryFolder } from '@coppice/testing';
import { expect, test } from 'vitest';
import { readCount, startLlmGateway } from './index.ts';
import { startOrchestrator } from './test-support/orchestrator.ts';
import { end, saying, text } from './test-support/says.ts';

const awayMs = 2_000;
const taskId = 'taaaaaaaaaaaaaaaa';
const effectId = `task_${taskId}_1_1`;

test('an answer is stored once the server is back, also by reference, and the model gets only one request', async () => {
  await using folder = await temporaryFolder('lost-server');
  const countFile = path.join(folder.path, 'count');
  await writeFile(path.join(folder.path, 'large.txt'), 'x'.repeat(inlineTextBytesMax + 1));
  await writeFile(path.join(folder.path, 'plan.yaml'), 'default: { turns: [{ textFile: large.txt }] }');
  const nats = await startNatsServer({ auth: true });
  const orchestrator = await startOrchestrator(nats);
  const deaths: Promise<void>[] = [];
  const gateway = await startService({
    name: 'llm-gateway',
    version: '0.0.0',
    node: 'here',
    connection: nats.connection,
    start: (context) =>
      startLlmGateway(context, {
        scriptFolders: [folder.path],
        scriptedCountFile: countFile,
        onPoint: async (point) => {
          if (point !== 'answered') return;
          await nats.kill();
          const { promise: back, resolve } = Promise.withResolvers<void>();
          setTimeout(() => void nats.restart().then(resolve), awayMs);
          deaths.push(back);
        },
      }),
  });
  await orchestrator.order({ effectId, taskId, model: 'scripted/plan.yaml', prompt: 'go' });
  const deadline = { timeoutMs: 60_000 };
  await eventually(() => deaths.length > 0, deadline);
  await Promise.all(deaths);
  expect(await orchestrator.resultOf(effectId, deadline)).toMatchObject({
    status: 'done',
    output: { text: { artifact: expect.any(String) } },
  });
  expect(await orchestrator.transcript(taskId)).toMatchObject([{ effectId }]);
  expect((await readCount(countFile)).filter(({ event }) => event === 'requested')).toHaveLength(1);
  await gateway.stop();
  await orchestrator.close();
  await nats.stop();
});

test('an answer that can never be stored has a separate error with its usage, and the model gets only one request', async () => {
  await using folder = await temporaryFolder('large-signature');
  const signature = { wire: 'anthropic' as const, value: 's'.repeat(400_000) };
  const thought = { type: 'thinking-delta' as const, block: 0, text: 'hm', signature };
  const acme = saying('acme', [thought, text('x'), { type: 'usage', usage: { inputTokens: 7, outputTokens: 3 } }, end]);
  const nats = await startNatsServer({ auth: true });
  const orchestrator = await startOrchestrator(nats);
  const gateway = await startService({
    name: 'llm-gateway',
    version: '0.0.0',
    node: 'here',
    connection: nats.connection,
    start: (context) => startLlmGateway(context, { scriptFolders: [folder.path], providers: [acme] }),
  });
  await orchestrator.order({ effectId, taskId, model: 'acme/one', prompt: 'go' });
  expect(await orchestrator.resultOf(effectId)).toMatchObject({
    status: 'failed',
    error: { code: 'limit-exceeded', retryable: false, details: { usage: { inputTokens: 7, outputTokens: 3 } } },
  });
  expect(acme.requests).toHaveLength(1);
  await gateway.stop();
  await orchestrator.close();
  await nats.stop();
});

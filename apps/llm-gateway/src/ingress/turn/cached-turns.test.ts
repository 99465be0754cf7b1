/** Tests model calls of tasks that are answered from the cache. */
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { TurnOutput } from '@coppice/contracts';
import { startService } from '@coppice/service';
import { startTelemetry } from '@coppice/telemetry';
import { startNatsServer, temporaryFolder } from '@coppice/testing';
import { expect, test } from 'vitest';
import { readCount, startLlmGateway } from '../../index.ts';
import { startOrchestrator } from '../../test-support/orchestrator.ts';
import { scrape } from '../../test-support/scrape.ts';

const script = `
default:
  turns:
    - text: I look.
      toolCalls: [{ name: read, arguments: { path: a.txt } }]
      usage: { inputTokens: 70, outputTokens: 30, costUsd: 0.5 }
`;

test('a turn with the same request as an earlier one is answered from the cache: marked, without cost, and in the transcript', async () => {
  await using folder = await temporaryFolder('cached-turns');
  const countFile = path.join(folder.path, 'count');
  await writeFile(path.join(folder.path, 'plan.yaml'), script);
  const telemetry = await startTelemetry({ serviceName: 'gateway', instanceId: 'one', prometheus: true });
  const nats = await startNatsServer({ auth: true });
  const orchestrator = await startOrchestrator(nats);
  const start = () =>
    startService({
      name: 'llm-gateway',
      version: '0.0.0',
      node: 'here',
      connection: nats.connection,
      start: (context) =>
        startLlmGateway(context, {
          scriptFolders: [folder.path],
          scriptedCountFile: countFile,
          cache: { ttlMs: 600_000, entryBytesMax: 65_536 },
        }),
    });
  const turnOf = async (letter: string): Promise<TurnOutput> => {
    const taskId = `t${letter.repeat(16)}`;
    const effectId = `task_${taskId}_1_1`;
    await orchestrator.order({ effectId, taskId, model: 'scripted/plan.yaml', prompt: 'look' });
    const outcome = await orchestrator.resultOf(effectId);
    expect(outcome).toMatchObject({ status: 'done' });
    const { output } = outcome as { output: TurnOutput };
    expect((await orchestrator.transcript(taskId)).map((entry) => entry.output)).toEqual([output]);
    return output;
  };

  let gateway = await start();
  const first = await turnOf('a');
  expect(first).toMatchObject({ usage: { inputTokens: 70, outputTokens: 30, costUsd: 0.5 }, attempts: 1 });
  expect(first).not.toHaveProperty('cached');
  // The cached answer must be available after a restart, so the gateway must write it before it stops.
  await gateway.stop();
  gateway = await start();
  const { attempts: _attempts, ...answer } = first;
  expect(await turnOf('b')).toEqual({
    ...answer,
    turnId: `task_t${'b'.repeat(16)}_1_1`,
    usage: { inputTokens: 70, outputTokens: 30, costUsd: 0 },
    cached: true,
    latencyMs: expect.any(Number) as unknown,
    queuedMs: expect.any(Number) as unknown,
    toolCalls: [expect.objectContaining({ name: 'read', arguments: { text: '{"path":"a.txt"}' } }) as unknown],
  });
  expect((await readCount(countFile)).filter(({ event }) => event === 'requested')).toHaveLength(1);
  expect(await scrape(telemetry, 'coppice_model_cache_lookups_total')).toEqual([
    expect.stringMatching(/\{result="miss"\} 1$/),
    expect.stringMatching(/\{result="hit"\} 1$/),
  ]);
  expect(await scrape(telemetry, 'gen_ai_client_operation_duration_count')).toEqual([expect.stringMatching(/ 1$/)]);

  await gateway.stop();
  await orchestrator.close();
  await nats.stop();
  await telemetry.shutdown();
});

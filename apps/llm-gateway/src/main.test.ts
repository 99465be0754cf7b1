import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { eventually, startNatsServer, startProcess, temporaryFolder } from '@coppice/testing';
import { expect, test } from 'vitest';
import { readCount } from './index.ts';
import { startOrchestrator } from './test-support/orchestrator.ts';

test('a turn in progress can finish before the process ends', async () => {
  await using folder = await temporaryFolder('gateway-drain');
  await writeFile(path.join(folder.path, 'plan.yaml'), 'default: { turns: [{ text: done, latencyMs: 1500 }] }');
  const countFile = path.join(folder.path, 'count');
  await using nats = await startNatsServer({ auth: true });
  const orchestrator = await startOrchestrator(nats);
  await using child = startProcess(path.join(import.meta.dirname, 'main.ts'), [], {
    ...nats.environment,
    COPPICE_NODE: 'here',
    COPPICE_LOG_LEVEL: 'info',
    COPPICE_SCRIPTS: folder.path,
    COPPICE_SCRIPTED_COUNT_FILE: countFile,
  });
  await child.waitForLine('"msg":"started"');
  const [taskId, effectId] = ['taaaaaaaaaaaaaaaa', 'task_taaaaaaaaaaaaaaaa_1_1'];
  await orchestrator.order({ effectId, taskId, model: 'scripted/plan.yaml', prompt: 'write it' });
  await eventually(async () => (await readCount(countFile)).length === 1);
  child.signal('SIGTERM');
  expect(await orchestrator.resultOf(effectId)).toMatchObject({ status: 'done', output: { text: { text: 'done' } } });
  expect(await child.exited).toEqual({ code: 0, signal: null });
  await orchestrator.close();
});

test('the process starts, and stops properly', async () => {
  await using nats = await startNatsServer({ auth: true });
  // The orchestrator creates the streams that a gateway waits for.
  const orchestrator = await startOrchestrator(nats);
  await using child = startProcess(path.join(import.meta.dirname, 'main.ts'), [], {
    ...nats.environment,
    COPPICE_NODE: 'here',
    COPPICE_LOG_LEVEL: 'info',
  });
  await child.waitForLine('"msg":"started"');
  child.signal('SIGTERM');
  expect(await child.exited).toEqual({ code: 0, signal: null });
  await orchestrator.close();
});

test('the error names an invalid variable of the gateway', async () => {
  await using child = startProcess(path.join(import.meta.dirname, 'main.ts'), [], {
    COPPICE_NODE: 'here',
    COPPICE_LOG_LEVEL: 'info',
    COPPICE_TURNS_MAX: 'all',
  });
  expect(await child.exited).toEqual({ code: 78, signal: null });
  expect(child.lines.map((line) => line.text).join('\n')).toContain(
    'COPPICE_TURNS_MAX: expected an integer from 1 to 1000',
  );
});

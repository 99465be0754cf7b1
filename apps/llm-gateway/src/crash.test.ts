import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { attributes } from '@coppice/telemetry';
import { eventually, startNatsServer, startProcess, startTraceCollector, temporaryFolder } from '@coppice/testing';
import { describe, expect, test } from 'vitest';
import { readCount, turnPoints } from './index.ts';
import { startOrchestrator } from './test-support/orchestrator.ts';

const program = path.join(import.meta.dirname, 'test-programs/gateway-process.ts');
const taskId = 'taaaaaaaaaaaaaaaa';
const first = { effectId: `task_${taskId}_1_1`, taskId, model: 'scripted/plan.yaml', prompt: 'write it' };
/** The command that the actor sends after the error `unknown`. It has another effect id. */
const again = { ...first, effectId: `task_${taskId}_1_2` };

/**
 * Before another process takes over, the killed process's membership (15 s) and the command's ack wait (30 s) must
 * expire.
 */
const takeOverMsMax = 75_000;

async function setUp() {
  const folder = await temporaryFolder('gateway-crash');
  await writeFile(path.join(folder.path, 'plan.yaml'), 'default: { turns: [{ text: done }] }');
  const nats = await startNatsServer({ auth: true });
  const orchestrator = await startOrchestrator(nats);
  const countFile = path.join(folder.path, 'count');
  const environment = {
    ...nats.environment,
    COPPICE_SCRIPTS: folder.path,
    COPPICE_SCRIPTED_COUNT_FILE: countFile,
    COPPICE_NODE: 'here',
    COPPICE_LOG_LEVEL: 'info',
  };
  return {
    orchestrator,
    startGateway: (more: Record<string, string> = {}) => startProcess(program, [], { ...environment, ...more }),
    requestedEffects: async () =>
      (await readCount(countFile)).filter((line) => line.event === 'requested').map((line) => line.effectId),
    [Symbol.asyncDispose]: async () => {
      await orchestrator.close();
      await nats.stop();
      await folder.remove();
    },
  };
}

/** The expected state after a kill at each point. If a new point has no entry here, the compiler reports an error. */
const expectations = {
  'before-request': { paidFor: [], result: { status: 'failed', error: { code: 'unknown', retryable: false } } },
  answered: { paidFor: [first.effectId], result: { status: 'failed', error: { code: 'unknown', retryable: false } } },
  'in-transcript': { paidFor: [first.effectId], result: { status: 'done', output: { text: { text: 'done' } } } },
} as const satisfies Record<(typeof turnPoints)[number], unknown>;

describe('a gateway that is killed by SIGKILL', () => {
  test.concurrent.each(turnPoints)(
    'at %s',
    async (point) => {
      const { paidFor, result } = expectations[point];
      await using stack = await setUp();
      const { orchestrator, requestedEffects } = stack;
      await using doomed = stack.startGateway({ TESTED_HALT_AT: point });
      await doomed.waitForLine('"msg":"started"');
      await orchestrator.order(first);
      await doomed.waitForLine(`point ${point}`);
      expect(await doomed.kill('SIGKILL')).toEqual({ code: null, signal: 'SIGKILL' });
      expect(orchestrator.results(first.effectId)).toEqual([]);
      expect(await requestedEffects()).toEqual(paidFor);

      await using successor = stack.startGateway();
      await successor.waitForLine('"msg":"started"');
      expect(await orchestrator.resultOf(first.effectId, { timeoutMs: takeOverMsMax })).toMatchObject(result);
      // This call is never repeated under its own id.
      expect(await requestedEffects()).toEqual(paidFor);
      const finished = result.status === 'done' ? [first.effectId] : [];
      const inTranscript = async () => (await orchestrator.transcript(taskId)).map((entry) => entry.effectId);
      expect(await inTranscript()).toEqual(finished);

      await orchestrator.order(again);
      expect(await orchestrator.resultOf(again.effectId)).toMatchObject({ status: 'done' });
      expect(await requestedEffects()).toEqual([...paidFor, again.effectId]);
      expect(await inTranscript()).toEqual([...finished, again.effectId]);
      successor.signal('SIGTERM');
      expect(await successor.exited).toEqual({ code: 0, signal: null });
    },
    120_000,
  );
});

test('a turn has a span with the attributes of the GenAI conventions, below the span of its command', async () => {
  await using collector = await startTraceCollector();
  await using stack = await setUp();
  await using gateway = stack.startGateway(collector.environment);
  await gateway.waitForLine('"msg":"started"');
  await stack.orchestrator.order(first);
  await stack.orchestrator.resultOf(first.effectId);
  const span = await eventually(() => collector.spans.find(({ name }) => name === 'chat plan.yaml'));
  expect(span.attributes).toMatchObject({
    [attributes.genAiOperationName]: 'chat',
    [attributes.genAiProviderName]: 'scripted',
    [attributes.genAiRequestModel]: 'plan.yaml',
    [attributes.genAiResponseModel]: 'plan.yaml',
    [attributes.genAiUsageInputTokens]: 2,
    [attributes.genAiUsageOutputTokens]: 1,
    [attributes.genAiResponseFinishReasons]: ['stop'],
    [attributes.coppiceTaskId]: taskId,
  });
  const parent = await eventually(() => collector.spans.find(({ spanId }) => spanId === span.parentSpanId));
  expect(parent).toMatchObject({ service: 'llm-gateway', traceId: span.traceId });
  expect(parent.name).toContain('turn');
});

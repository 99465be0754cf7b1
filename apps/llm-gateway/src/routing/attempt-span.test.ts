import { CoppiceError } from '@coppice/contracts';
import { eventually, startTraceCollector } from '@coppice/testing';
import { startTelemetry, withSpan } from '@coppice/telemetry';
import { expect, test, vi } from 'vitest';
import { startAttemptSpan } from './attempt-span.ts';

const common = { owner: { tenant: 'default', runId: 'r1', taskId: 't1' }, effectId: 'task_t1_1_1', queuedMs: 3 };
const limited = new CoppiceError('provider-limited', 'too many requests');
const unanswered = {
  error: limited,
  usage: { inputTokens: 40 },
  responseModel: null,
  finishReason: null,
  latencyMs: 20,
};
const usage = {
  inputTokens: 50,
  cachedInputTokens: 30,
  cacheWriteInputTokens: 9,
  outputTokens: 8,
  reasoningTokens: 6,
  costUsd: 0.25,
};
const answered = { error: null, usage, responseModel: 'small-2026', finishReason: 'stop', latencyMs: 300 } as const;

test('the spans of a turn report the provider, the number of the attempt, the reason for a further attempt, tokens and cost', async () => {
  await using collector = await startTraceCollector();
  for (const [name, value] of Object.entries(collector.environment)) vi.stubEnv(name, value);
  const telemetry = await startTelemetry({ serviceName: 'gateway', instanceId: 'one' });
  await withSpan('turn', {}, () => {
    const first = { ...common, provider: 'acme', model: 'large', attempt: 1, before: null };
    startAttemptSpan(first).end(unanswered);
    startAttemptSpan({ ...common, provider: 'other', model: 'small', attempt: 2, before: limited }).end(answered);
  });
  await telemetry.shutdown();
  vi.unstubAllEnvs();
  const [turn, first, second] = await eventually(() => {
    const spans = ['turn', 'chat large', 'chat small'].map((name) =>
      collector.spans.find((span) => span.name === name),
    );
    return spans.every((span) => span !== undefined) && spans;
  });
  expect(first).toMatchObject({ kind: 3, status: 2, traceId: turn?.traceId, parentSpanId: turn?.spanId });
  expect(second).toMatchObject({ kind: 3, status: 0, traceId: turn?.traceId, parentSpanId: turn?.spanId });
  const ofTask = {
    'gen_ai.operation.name': 'chat',
    'coppice.model.queue.wait_ms': 3,
    'coppice.tenant': 'default',
    'coppice.run.id': 'r1',
    'coppice.task.id': 't1',
    'coppice.effect.id': common.effectId,
  };
  // `toEqual` checks all attributes. A first attempt has no reason, a failed attempt has no answer, and unknown values
  // are missing.
  expect(first?.attributes).toEqual({
    ...ofTask,
    'gen_ai.provider.name': 'acme',
    'gen_ai.request.model': 'large',
    'coppice.model.attempt': 1,
    'gen_ai.usage.input_tokens': 40,
    'error.type': 'provider-limited',
  });
  expect(second?.attributes).toEqual({
    ...ofTask,
    'gen_ai.provider.name': 'other',
    'gen_ai.request.model': 'small',
    'gen_ai.response.model': 'small-2026',
    'gen_ai.response.finish_reasons': ['stop'],
    'coppice.model.attempt': 2,
    'coppice.model.attempt.reason': 'provider-limited',
    'gen_ai.usage.input_tokens': 50,
    'gen_ai.usage.cache_read.input_tokens': 30,
    'gen_ai.usage.cache_creation.input_tokens': 9,
    'gen_ai.usage.output_tokens': 8,
    'gen_ai.usage.reasoning.output_tokens': 6,
    'coppice.model.cost_usd': 0.25,
  });
});

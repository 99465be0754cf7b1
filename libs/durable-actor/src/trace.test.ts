import { eventually, startTraceCollector } from '@coppice/testing';
import type { TraceCollector } from '@coppice/testing';
import { startTelemetry, withSpan } from '@coppice/telemetry';
import type { Telemetry } from '@coppice/telemetry';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { Harness, prepared } from './test-support/harness.ts';

let harness: Harness;
let collector: TraceCollector;
let telemetry: Telemetry;

beforeAll(async () => {
  collector = await startTraceCollector();
  // The exporter reads the process's own environment, as in a service.
  for (const [name, value] of Object.entries(collector.environment)) vi.stubEnv(name, value);
  telemetry = await startTelemetry({ serviceName: 'actors', instanceId: 'one' });
  if (!telemetry.enabled) throw new Error('tracing is not on');
  harness = await Harness.start();
  await harness.host();
});
afterAll(async () => {
  await harness.stop();
  await telemetry.shutdown();
  await collector.stop();
  vi.unstubAllEnvs();
});

test('a first delivery continues its sender; a timer is a child of the stored context, linked to what set it', async () => {
  let traceId = '';
  await withSpan('submit', {}, async (span) => {
    traceId = span.spanContext().traceId;
    await harness.create('job', 'traced', { limitMs: 250 }, { type: 'start' });
  });
  await harness.reaches('job', 'traced', 'failed');
  await harness.quiet('job', 'traced');
  const birth = await spanNamed('process create coppice.actor.job');
  const submit = await spanNamed('submit');
  const timer = await spanNamed('process timer coppice.actor.job');
  expect(birth).toMatchObject({ traceId, parentSpanId: submit.spanId });
  expect(timer).toMatchObject({ traceId, parentSpanId: birth.spanId });
  expect(timer.links).toMatchObject([{ traceId, spanId: birth.spanId }]);
  expect(birth.attributes).toMatchObject({ 'messaging.system': 'nats', 'coppice.delivery.count': 1 });
});

test('a person who comes later with a trace of their own keeps it', async () => {
  await harness.create('job', 'later', {}, { type: 'start' });
  await harness.reaches('job', 'later', 'preparing');
  let traceId = '';
  await withSpan('click', {}, async (span) => {
    traceId = span.spanContext().traceId;
    await harness.result('job', 'later', await harness.effectOf('job', 'later', 'prepare'), {
      status: 'done',
      output: prepared,
    });
  });
  await harness.reaches('job', 'later', 'asking');
  expect(await spanNamed('process result coppice.actor.job')).toMatchObject({ traceId });
  // What it ordered goes on in that trace, through the other actor.
  await eventually(() =>
    collector.spans.find((span) => span.name === 'process create coppice.actor.desk' && span.traceId === traceId),
  );
});

const spanNamed = (name: string) =>
  eventually(() => collector.spans.find((span) => span.name === name), { description: `a span ${name}` });

import path from 'node:path';
import { eventually, startBrokenCollector, startProcess, startTraceCollector } from '@coppice/testing';
import { describe, expect, test } from 'vitest';
import { spanIdPrefix } from './span-ids.ts';

const program = path.join(import.meta.dirname, 'test-programs/hop.ts');
const withoutTelemetry = {
  OTEL_EXPORTER_OTLP_ENDPOINT: undefined,
  COPPICE_TRACES: undefined,
  COPPICE_LOG_LEVEL: 'info',
};

async function hop(environment: Record<string, string | undefined>) {
  await using child = startProcess(program, [], { ...withoutTelemetry, ...environment });
  const summary = JSON.parse(await child.waitForLine('"enabled"')) as Record<string, unknown>;
  expect(await child.exited).toEqual({ code: 0, signal: null });
  const logs = child.lines
    .filter((line) => line.stream === 'stderr')
    .map((line) => JSON.parse(line.text) as Record<string, unknown>);
  return { summary, logs, stdout: child.lines.map((line) => line.text) };
}

test('if telemetry is off, no SDK is loaded, and everything else works', async () => {
  const { summary, logs, stdout } = await hop({});
  expect(summary).toMatchObject({ enabled: false, headers: {}, stored: null, sdkModules: 0 });
  expect(logs).toEqual([expect.objectContaining({ msg: 'sent' })]);
  expect(logs[0]).not.toHaveProperty('trace_id');
  expect(stdout).toContain('caught refused');
});

test('if telemetry is on, the sender, the receiver and the log have the same trace id', async () => {
  await using collector = await startTraceCollector();
  const { summary, logs } = await hop(collector.environment);
  expect(summary).toMatchObject({ enabled: true });
  const [send, receive] = await eventually(() => {
    const found = ['send', 'receive'].map((name) => collector.spans.find((span) => span.name === name));
    return found.every((span) => span !== undefined) && found;
  });
  expect(send).toMatchObject({
    service: 'hop',
    parentSpanId: undefined,
    status: 0,
    attributes: { 'messaging.system.name': 'nats' },
  });
  expect(receive).toMatchObject({
    traceId: send?.traceId,
    parentSpanId: send?.spanId,
    links: [{ traceId: send?.traceId, spanId: send?.spanId }],
    status: 2,
    attributes: { 'error.type': 'conflict' },
  });
  // A child's `parentSpanId` begins with the digits of the parent's process. So the process is known even if the parent
  // span is never exported.
  expect(send?.spanId.slice(0, 6)).toBe(spanIdPrefix('hop', 'one'));
  expect(send).toMatchObject({ instance: 'one' });
  expect(summary['stored']).toBe(`00-${send?.traceId}-${send?.spanId}-01`);
  expect(summary['headers']).toEqual({ traceparent: summary['stored'] });
  expect(logs).toEqual([expect.objectContaining({ msg: 'sent', trace_id: send?.traceId, span_id: send?.spanId })]);
});

test.for(['refuses', 'answers-500', 'hangs'] as const)(
  'a collector that %s does not delay the process, and is logged once',
  async (fault) => {
    await using collector = await startBrokenCollector(fault);
    const { summary, logs, stdout } = await hop({
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      OTEL_METRICS_EXPORTER: 'otlp',
    });
    expect(summary).toMatchObject({ enabled: true });
    expect(stdout).toContain('caught refused');
    // The program has exited although the collector is broken.
    expect(logs.filter((line) => line['level'] === 'warn').length).toBeLessThanOrEqual(1);
    const expected = fault === 'refuses' ? [] : ['/v1/metrics', '/v1/traces'];
    expect([...new Set(collector.requests)].toSorted()).toEqual(expected);
  },
);

test('if OTLP is requested, metrics are sent by OTLP together with their resource', async () => {
  await using collector = await startTraceCollector();
  await hop({ ...collector.environment, COPPICE_TRACES: 'off', OTEL_METRICS_EXPORTER: 'otlp' });
  expect(collector.spans).toEqual([]);
  expect(collector.metrics).toContainEqual({ service: 'hop', name: 'coppice.task.ended' });
});

describe('the standard variables choose which traces are sampled', () => {
  test.for([
    ['always_off', undefined, '00'],
    ['traceidratio', '0', '00'],
    ['parentbased_traceidratio', '1', '01'],
    ['always_on', undefined, '01'],
  ] as const)('%s %s', async ([sampler, argument, flags]) => {
    await using collector = await startTraceCollector();
    const { summary } = await hop({
      ...collector.environment,
      OTEL_TRACES_SAMPLER: sampler,
      OTEL_TRACES_SAMPLER_ARG: argument,
    });
    // The flags contain the sampling decision. So either all spans of a trace are exported or none.
    expect(summary['stored']).toMatch(new RegExp(`^00-[0-9a-f]{32}-[0-9a-f]{16}-${flags}$`));
    expect(collector.spans.length > 0).toBe(flags === '01');
  });
});

test.for([{ OTEL_SDK_DISABLED: 'true' }, { OTEL_TRACES_EXPORTER: 'none' }, { COPPICE_TRACES: 'off' }])(
  '%o overrides the endpoint, and no SDK is loaded',
  async (environment) => {
    const { summary } = await hop({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1', ...environment });
    expect(summary).toMatchObject({ enabled: false, sdkModules: 0 });
  },
);

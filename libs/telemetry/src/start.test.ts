import path from 'node:path';
import { eventually, startProcess, startTraceCollector } from '@coppice/testing';
import { expect, test } from 'vitest';
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

test('off, no SDK is loaded, and everything else works', async () => {
  const { summary, logs, stdout } = await hop({});
  expect(summary).toMatchObject({ enabled: false, headers: {}, stored: null, sdkModules: 0 });
  expect(logs).toEqual([expect.objectContaining({ msg: 'sent' })]);
  expect(logs[0]).not.toHaveProperty('trace_id');
  expect(stdout).toContain('caught refused');
});

test('COPPICE_TRACES=off wins over an endpoint', async () => {
  expect(
    (await hop({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1', COPPICE_TRACES: 'off' })).summary,
  ).toMatchObject({ enabled: false });
});

test('on, the trace goes from sender to receiver and into the log', async () => {
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
    attributes: { 'messaging.system': 'nats' },
  });
  expect(receive).toMatchObject({
    traceId: send?.traceId,
    parentSpanId: send?.spanId,
    links: [{ traceId: send?.traceId, spanId: send?.spanId }],
    status: 2,
    attributes: { 'error.type': 'conflict' },
  });
  // A span's id tells its process, even where the span itself never comes.
  expect(send?.spanId.slice(0, 6)).toBe(spanIdPrefix('hop', 'one'));
  expect(send).toMatchObject({ instance: 'one' });
  expect(summary['stored']).toBe(`00-${send?.traceId}-${send?.spanId}-01`);
  expect(summary['headers']).toEqual({ traceparent: summary['stored'] });
  expect(logs).toEqual([expect.objectContaining({ msg: 'sent', trace_id: send?.traceId, span_id: send?.spanId })]);
});

test('a collector that is not there stops and delays nothing', async () => {
  const { summary, logs } = await hop({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1' });
  expect(summary).toMatchObject({ enabled: true });
  expect(summary['shutdownMs']).toBeLessThan(4_000);
  expect(logs.filter((line) => line['level'] === 'warn').length).toBeLessThanOrEqual(1);
});

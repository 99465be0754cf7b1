import { streams } from '@coppice/contracts';
import type { CommandMessage } from '@coppice/contracts';
import { eventually, startTraceCollector } from '@coppice/testing';
import type { TraceCollector } from '@coppice/testing';
import { contextFrom, startTelemetry, withSpan } from '@coppice/telemetry';
import type { Telemetry } from '@coppice/telemetry';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import type { CrashPoint } from './crash-points.ts';
import { Harness, prepared } from './test-support/harness.ts';

let harness: Harness;
let collector: TraceCollector;
let telemetry: Telemetry;
/** Where the next message is to fail, to be delivered again. */
let failAt: CrashPoint | null = null;

beforeAll(async () => {
  collector = await startTraceCollector();
  // The exporter reads the process's own environment, as in a service.
  for (const [name, value] of Object.entries(collector.environment)) vi.stubEnv(name, value);
  telemetry = await startTelemetry({ serviceName: 'actors', instanceId: 'one' });
  if (!telemetry.enabled) throw new Error('tracing is not on');
  harness = await Harness.start();
  const failsOnce = async (point: CrashPoint) => {
    if (point !== failAt) return;
    failAt = null;
    throw new Error('fails once');
  };
  await harness.host({ hooks: { reach: failsOnce } });
});
afterAll(async () => {
  await harness.stop();
  await telemetry.shutdown();
  await collector.stop();
  vi.unstubAllEnvs();
});

test('what is sent has a span that is the parent of its handling; a timer is a child of the stored context, linked to what set it', async () => {
  let traceId = '';
  await withSpan('submit', {}, async (span) => {
    traceId = span.spanContext().traceId;
    await harness.create('job', 'traced', { limitMs: 250 }, { type: 'start' });
  });
  await harness.reaches('job', 'traced', 'failed');
  await harness.quiet('job', 'traced');
  const birth = await spanNamed('process create coppice.actor.job.*');
  const submit = await spanNamed('submit');
  const sent = await sentIn(submit.spanId);
  const timer = await spanNamed('process timer coppice.actor.job.*');
  expect(sent).toMatchObject({
    traceId,
    name: 'publish coppice.actor.job.*',
    kind: 4,
    attributes: { 'messaging.operation.type': 'send', 'messaging.destination.name': 'coppice.actor.job.traced' },
  });
  expect(birth).toMatchObject({ traceId, parentSpanId: sent.spanId, kind: 5 });
  expect(timer).toMatchObject({ traceId, parentSpanId: birth.spanId });
  expect(timer.links).toMatchObject([{ traceId, spanId: birth.spanId }]);
  expect(birth.attributes).toMatchObject({ 'messaging.system.name': 'nats', 'coppice.delivery.count': 1 });
});

test('a person who comes later with a trace of their own keeps it; what they began goes on in the trace of the actor', async () => {
  let bornIn = '';
  await withSpan('order', {}, async (span) => {
    bornIn = span.spanContext().traceId;
    await harness.create('job', 'later', {});
  });
  await harness.reaches('job', 'later', 'waiting');
  let traceId = '';
  await withSpan('click', {}, async (span) => {
    traceId = span.spanContext().traceId;
    await harness.send('job', 'later', { type: 'start' });
  });
  await harness.reaches('job', 'later', 'preparing');
  expect(await spanNamed('process event coppice.actor.job.*')).toMatchObject({ traceId });
  const commands = await harness.stored(streams.commands, 'coppice.cmd.>');
  const command = commands.find((message) => (message.json() as CommandMessage).replyTo.id === 'later');
  expect(command?.headers['traceparent']).toContain(traceId);

  // An executor answers in the trace in which it was ordered; from then on the actor is in its own again.
  const click = await spanNamed('click');
  const effectId = await harness.effectOf('job', 'later', 'prepare');
  const headers = { traceparent: `00-${traceId}-${click.spanId}-01` };
  await harness.post(
    'job',
    'later',
    { type: 'result', effectId, outcome: { status: 'done', output: prepared } },
    headers,
  );
  await harness.reaches('job', 'later', 'asking');
  const order = await spanNamed('order');
  const sent = await sentIn(order.spanId);
  const birth = await eventually(() => collector.spans.find((span) => span.parentSpanId === sent.spanId));
  expect(await spanNamed('process result coppice.actor.job.*')).toMatchObject({
    traceId: bornIn,
    parentSpanId: birth.spanId,
    links: [{ traceId, spanId: click.spanId }],
  });
  // What it ordered then goes on there, through the other actor.
  await eventually(() =>
    collector.spans.find((span) => span.name === 'process create coppice.actor.desk.*' && span.traceId === bornIn),
  );
});

test('a redelivery is a child of the stored context, linked to what it repeats', async () => {
  let traceId = '';
  await withSpan('order twice', {}, async (span) => {
    traceId = span.spanContext().traceId;
    await harness.create('job', 'again', {});
  });
  await harness.reaches('job', 'again', 'waiting');
  const stored = (await harness.value('job', 'again')).traceparent;
  let poke = '';
  failAt = 'transition-computed';
  // Of the same trace, as what another actor of the run sends.
  await withSpan('poke', { parent: contextFrom(stored) }, async (span) => {
    poke = span.spanContext().spanId;
    await harness.send('job', 'again', { type: 'pad', text: 'x' });
  });
  const [once, again] = await eventually(() => {
    const spans = collector.spans.filter((span) => span.traceId === traceId && span.name.startsWith('process event'));
    return spans.length === 2 && spans;
  });
  const { spanId: sender } = await sentIn(poke);
  expect(once).toMatchObject({ parentSpanId: sender, status: 2, attributes: { 'coppice.delivery.count': 1 } });
  expect(again).toMatchObject({ links: [{ traceId, spanId: sender }], attributes: { 'coppice.delivery.count': 2 } });
  expect(stored).toBe(`00-${traceId}-${again?.parentSpanId}-01`);
});

test('a message without a sender is part of the trace of its actor', async () => {
  await withSpan('order', {}, () => harness.create('job', 'woken', {}));
  await harness.reaches('job', 'woken', 'waiting');
  await harness.post('job', 'woken', { type: 'wake' });
  const wake = await spanNamed('process wake coppice.actor.job.*');
  const { traceparent } = await harness.value('job', 'woken');
  expect(traceparent).toBe(`00-${wake.traceId}-${wake.parentSpanId}-01`);
});

/** The span of the one message that was sent in another. */
const sentIn = (spanId: string) =>
  eventually(() => collector.spans.find((span) => span.parentSpanId === spanId && span.name.startsWith('publish ')));
const spanNamed = (name: string) =>
  eventually(() => collector.spans.find((span) => span.name === name), { description: `a span ${name}` });

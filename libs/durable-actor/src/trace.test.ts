import { streams } from '@coppice/contracts';
import type { CommandMessage } from '@coppice/contracts';
import { eventually, startTraceCollector } from '@coppice/testing';
import type { CollectedSpan, TraceCollector } from '@coppice/testing';
import { extractTrace, startTelemetry, storedSpanIdPrefix, withSpan } from '@coppice/telemetry';
import type { Telemetry } from '@coppice/telemetry';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import type { CrashPoint } from './crash-points.ts';
import { Harness, prepared } from './test-support/harness.ts';

let harness: Harness;
let collector: TraceCollector;
let telemetry: Telemetry;
/** Point at which the next handling fails, so that the message is redelivered. */
let failAt: CrashPoint | null = null;

beforeAll(async () => {
  collector = await startTraceCollector();
  // The exporter reads its configuration from the process's environment, as in a service.
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

test('a published message has a span that is the parent of its handling; a timer is a child of its state, linked to the span that set it', async () => {
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
  const preparing = await ofJob('traced', 'job preparing');
  expect(timer).toMatchObject({ traceId, parentSpanId: preparing.spanId });
  expect(timer.links).toMatchObject([{ traceId, spanId: birth.spanId }]);
  expect(birth.attributes).toMatchObject({ 'messaging.system.name': 'nats', 'coppice.delivery.count': 1 });
});

test("an actor's life is a span, its states are child spans, and the work of a state is a child of that state's span", async () => {
  let submit = '';
  await withSpan('live', {}, async (span) => {
    submit = span.spanContext().spanId;
    await harness.create('job', 'lives', {});
  });
  await harness.reaches('job', 'lives', 'waiting');
  await harness.send('job', 'lives', { type: 'start' });
  const effectId = await harness.effectOf('job', 'lives', 'prepare');
  // The result has no trace context, so its span is a child of the actor's stored context.
  await harness.result('job', 'lives', effectId, { status: 'done', output: prepared });
  await harness.reaches('job', 'lives', 'asking');
  // The event comes from another trace. The messages that the actor then publishes belong to the actor's own trace.
  await withSpan('come by', {}, () => harness.send('job', 'lives', { type: 'stop' }));
  await harness.reaches('job', 'lives', 'stopped');
  const life = await ofJob('lives', 'job');
  const { createdAtMs, updatedAtMs, traceparent } = await harness.value('job', 'lives');
  expect(traceparent).toBe(`00-${life.traceId}-${life.spanId}-01`);
  expect(life).toMatchObject({
    parentSpanId: (await sentIn(submit)).spanId,
    kind: 1,
    status: 0,
    startedAtMs: createdAtMs,
    attributes: { 'coppice.state': 'stopped' },
  });
  expect(life.startedAtMs + life.durationMs).toBeCloseTo(updatedAtMs, 3);
  const states = await Promise.all(
    ['waiting', 'preparing', 'asking'].map(async (state) => {
      const span = await ofJob('lives', `job ${state}`);
      expect(span).toMatchObject({
        traceId: life.traceId,
        parentSpanId: life.spanId,
        attributes: { 'coppice.state': state },
      });
      return span;
    }),
  );
  // Each state begins when the previous one ends.
  const ends = states.map(({ startedAtMs, durationMs }) => Math.round(startedAtMs + durationMs));
  expect(states.map(({ startedAtMs }) => startedAtMs)).toEqual([createdAtMs, ...ends.slice(0, -1)]);
  expect(ends.at(-1)).toBe(updatedAtMs);
  for (const { spanId } of [life, ...states]) expect(spanId.startsWith(storedSpanIdPrefix)).toBe(true);
  const [, preparing, asking] = states;
  const childrenOf = (span: CollectedSpan | undefined) =>
    collector.spans.filter(({ parentSpanId }) => parentSpanId === span?.spanId).map(({ name }) => name);
  await eventually(() => childrenOf(asking).length === 1 && childrenOf(preparing).length === 2);
  expect(childrenOf(preparing)).toEqual([
    'publish coppice.cmd.worktree-service.*.prepare',
    'process result coppice.actor.job.*',
  ]);
  expect(childrenOf(asking)).toEqual(['publish coppice.actor.desk.*']);
  const [request] = collector.spans.filter(({ parentSpanId }) => parentSpanId === asking?.spanId);
  const answered = collector.spans.find(({ spanId }) => spanId === request?.links[0]?.spanId);
  expect(answered).toMatchObject({ name: 'process result coppice.actor.job.*', parentSpanId: preparing?.spanId });
  // The other trace's event caused this cancellation, but the cancellation belongs to the actor's trace.
  const forgets = collector.spans.find(
    ({ parentSpanId, name }) => parentSpanId === life.spanId && name === 'publish coppice.actor.desk.*',
  );
  expect(forgets?.links).toHaveLength(1);
  expect(forgets?.links[0]?.traceId).not.toBe(life.traceId);
});

test("the life span of an actor within another is a child of that actor's; a failure is recorded on it", async () => {
  await withSpan('family', {}, async () => {
    await harness.create('job', 'parent', {});
    await harness.create('job', 'child', { parent: 'parent' });
  });
  for (const id of ['child', 'parent']) {
    await harness.reaches('job', id, 'waiting');
    await harness.send('job', id, { type: 'start' });
    const error = { code: 'unavailable', message: 'away', retryable: true } as const;
    const effectId = await harness.effectOf('job', id, 'prepare');
    await harness.result('job', id, effectId, { status: 'failed', error });
    await harness.reaches('job', id, 'failed');
  }
  const [child, parent] = [await ofJob('child', 'job'), await ofJob('parent', 'job')];
  expect(child).toMatchObject({ traceId: parent.traceId, parentSpanId: parent.spanId });
  expect(child).toMatchObject({ status: 2, attributes: { 'error.type': 'unavailable' } });
});

test.for([
  ['state-stored', 1],
  ['outbox-published', 1],
  ['senders-answered', 2],
] as const)(
  'a handling that fails at %s leaves the same spans as one that does not',
  async ([point, exports], { task }) => {
    const id = `fails-at-${point}`;
    await withSpan(task.name, {}, () => harness.create('job', id, {}));
    // The handling of `create` must be over, since it reaches the same points.
    await harness.quiet('job', id);
    failAt = point;
    await harness.send('job', id, { type: 'stop' });
    await harness.quiet('job', id);
    const spans = await eventually(() => {
      const found = collector.spans.filter((span) => span.attributes['coppice.task.id'] === id);
      return found.length >= 2 * exports && found;
    });
    // Spans that were exported before the failure are exported again without changes.
    const same = ({ name, spanId, parentSpanId, startedAtMs, durationMs }: CollectedSpan) =>
      [name, spanId, parentSpanId, startedAtMs, durationMs].join(' ');
    expect(spans.map(({ name }) => name).toSorted()).toEqual(
      ['job', 'job waiting'].flatMap((name) => Array.from({ length: exports }, () => name)),
    );
    expect(new Set(spans.map(same)).size).toBe(2);
  },
);

test("an event from a later trace stays in that trace; the commands that it causes are part of the actor's trace", async () => {
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
  await eventually(() =>
    collector.spans.some((span) => span.name === 'process event coppice.actor.job.*' && span.traceId === traceId),
  );
  const commands = await harness.stored(streams.commands, 'coppice.cmd.>');
  const command = commands.find((message) => (message.json() as CommandMessage).replyTo.id === 'later');
  expect(command?.headers['traceparent']).toContain(bornIn);

  // A result from another trace is handled in the actor's own trace.
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
  const preparing = await ofJob('later', 'job preparing');
  expect(preparing.traceId).toBe(bornIn);
  const result = await eventually(() =>
    collector.spans.find((span) => span.parentSpanId === preparing.spanId && span.name.startsWith('process result ')),
  );
  expect(result.links).toEqual([{ traceId, spanId: click.spanId }]);
  // The actor's next request, and its handling by the other actor, stay in the actor's trace.
  await eventually(() =>
    collector.spans.find((span) => span.name === 'process create coppice.actor.desk.*' && span.traceId === bornIn),
  );
});

test('a redelivery is a child of the current state, linked to its sender', async () => {
  let traceId = '';
  await withSpan('order twice', {}, async (span) => {
    traceId = span.spanContext().traceId;
    await harness.create('job', 'again', {});
  });
  await harness.reaches('job', 'again', 'waiting');
  const stored = (await harness.value('job', 'again')).traceparent;
  let poke = '';
  failAt = 'transition-computed';
  // The event has the actor's trace, like an event from another actor of the same run.
  await withSpan('poke', { parent: extractTrace({ traceparent: stored ?? undefined }) }, async (span) => {
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
  await harness.send('job', 'again', { type: 'stop' });
  expect(again?.parentSpanId).toBe((await ofJob('again', 'job waiting')).spanId);
});

test("a message without a sender is part of its actor's trace", async () => {
  await withSpan('order', {}, () => harness.create('job', 'woken', {}));
  await harness.reaches('job', 'woken', 'waiting');
  await harness.post('job', 'woken', { type: 'wake' });
  const wake = await spanNamed('process wake coppice.actor.job.*');
  await harness.send('job', 'woken', { type: 'stop' });
  expect(await ofJob('woken', 'job waiting')).toMatchObject({ traceId: wake.traceId, spanId: wake.parentSpanId });
});

const sentIn = (spanId: string) =>
  eventually(() => collector.spans.find((span) => span.parentSpanId === spanId && span.name.startsWith('publish ')));
const spanNamed = (name: string) =>
  eventually(() => collector.spans.find((span) => span.name === name), { description: `a span ${name}` });
/** Waits for a span of a job's life or of one of the job's states. */
const ofJob = (id: string, name: string) =>
  eventually(() => collector.spans.find((span) => span.name === name && span.attributes['coppice.task.id'] === id), {
    description: `the span ${name} of ${id}`,
  });

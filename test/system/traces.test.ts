import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { runIdOf, subjects, taskIdOf } from '@coppice/contracts';
import { eventually, startProcess, startTraceCollector, temporaryRepository } from '@coppice/testing';
import type { CollectedSpan, TemporaryRepository, TraceCollector } from '@coppice/testing';
import { spanIdPrefix, startTelemetry, withSpan } from '@coppice/telemetry';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { whyWithout } from '../support/engines.ts';
import { Stack, serviceNames } from '../support/stack.ts';
import type { ServiceName } from '../support/stack.ts';

/**
 * One trace for a run, every hop in it: read from the spans that the services export while three runs go.
 *
 * `first` is submitted by this process, which exports spans too; `second`, at the same time and onto the same branch, by the durable intake from
 * a publisher that exports none, in a trace of its own; `broken` lives through a SIGKILL of the gateway and of the orchestrator.
 * What is asserted of spans that are missing: every process that was not killed is ended by SIGTERM, which flushes; a span id tells its
 * process; so each parent that nobody exported must be of a killed process, by its id, and there are no more of them than can be under
 * way or not yet exported at one moment.
 */

const script = `
rules:
  - { when: { contains: slowly }, turns: [{ text: "good\\n", latencyMs: 2500 }] }
default: { turns: [{ text: "good\\n", latencyMs: 200 }] }
`;
const publisher = 'publisher';
/** Who is no service, and may begin a trace: the publisher, and the command line. */
const outside = [publisher, 'coppice'];
const foreign = { traceId: '4bf92f3577b34da6a3ce929d0e0e4736', spanId: '00f067aa0ba902b7' };
/** Spans are exported every 100 ms here: of one task, that many at most are begun or waiting to be sent. */
const lostSpansMax = 40;
const runMsMax = 120_000;
const jaegerUrl = 'http://jaeger.invalid:16686';

type Run = { runId: string; traceId: string; spans: CollectedSpan[] };
let first: Run;
let second: Run;
let broken: Run;
let all: readonly CollectedSpan[];
/** What `coppice trace` says of `first`: the text, and the JSON. */
let told: string[];
let toldJson: unknown;
const killed: { name: ServiceName; instance: string }[] = [];

beforeAll(async () => {
  const engine = (await whyWithout('bubblewrap')) === null ? 'bubblewrap' : 'none';
  await using collector = await startTraceCollector();
  for (const [name, value] of Object.entries(collector.environment)) vi.stubEnv(name, value);
  const telemetry = await startTelemetry({ serviceName: publisher, instanceId: 'test' });
  const stack = await Stack.start({ engine, script, environment: collector.environment });
  try {
    await using repository = await temporaryRepository({ files: { 'check.sh': 'sleep 0.3; ls *.txt\n' } });
    await submitAll(stack, repository);
  } finally {
    await stack.stop();
    await telemetry.shutdown();
  }
  all = await settled(collector);
  for (const run of [first, second, broken]) run.spans = all.filter((span) => span.traceId === run.traceId);
}, 400_000);
afterAll(() => void vi.unstubAllEnvs());

async function submitAll(stack: Stack, repository: TemporaryRepository): Promise<void> {
  const request = (name: string, prompt = 'write') => ({
    requestId: name,
    repository: repository.path,
    baseBranch: 'main',
    defaults: { model: stack.model },
    tasks: [
      {
        name,
        description: `Write ${name}`,
        prompt,
        agent: { kind: 'prompt', file: `${name}.txt` },
        verify: 'sh check.sh',
        limits: { time: '10m' },
      },
    ],
  });
  const submit = (name: string, prompt?: string) =>
    withSpan('submit', {}, async (span) => {
      const { runId } = await stack.submit(request(name, prompt));
      return { runId, traceId: span.spanContext().traceId, spans: [] };
    });

  const traceparent = `00-${foreign.traceId}-${foreign.spanId}-01`;
  [first] = await Promise.all([
    submit('first'),
    stack.bus.publish(subjects.intake('default'), request('second'), { headers: { traceparent } }),
  ]);
  second = { runId: runIdOf('default', 'second'), traceId: foreign.traceId, spans: [] };
  await succeeded(stack, first.runId);
  told = await traceCommand(stack, first.runId);
  toldJson = JSON.parse((await traceCommand(stack, first.runId, '--json')).join(''));
  await eventually(async () => stack.run(second.runId));
  await succeeded(stack, second.runId);

  broken = await submit('broken', 'slowly');
  const taskId = taskIdOf(broken.runId, 'broken');
  await eventually(async () => (await stack.asked()).some((line) => line.taskId === taskId));
  // Long enough for the span of ordering the turn to be exported, so that what is missing is what was under way.
  await sleep(500);
  await killAndRestart(stack, 'llm-gateway');
  await stack.reached(broken.runId, taskId, 'verifying');
  await killAndRestart(stack, 'orchestrator');
  await succeeded(stack, broken.runId);
}

async function traceCommand(stack: Stack, ...commandArguments: string[]): Promise<string[]> {
  const main = path.resolve(import.meta.dirname, '../../apps/cli/src/main.ts');
  await using command = startProcess(main, ['trace', ...commandArguments], {
    ...stack.nats.environment,
    COPPICE_JAEGER_URL: jaegerUrl,
    NO_COLOR: '1',
  });
  const { code } = await command.exited;
  const lines = command.lines.map(({ text }) => text);
  if (code !== 0) throw new Error(lines.join('\n'));
  return lines;
}

async function succeeded(stack: Stack, runId: string): Promise<void> {
  expect((await stack.ended(runId, runMsMax)).state).toBe('succeeded');
}

async function killAndRestart(stack: Stack, name: ServiceName): Promise<void> {
  killed.push({ name, instance: `node-1-${stack.processId(name)}` });
  await stack.killAndRestart(name);
}

/** Everybody has exported; what is still on its way into the collector's list comes within a moment. */
async function settled(collector: TraceCollector): Promise<readonly CollectedSpan[]> {
  for (let before = -1; before !== collector.spans.length; await sleep(300)) before = collector.spans.length;
  return collector.spans;
}

const byId = (spans: readonly CollectedSpan[]) => new Map(spans.map((span) => [span.spanId, span]));

/** Parents that nobody exported, with the names of the spans that name them. */
function missingParents(spans: readonly CollectedSpan[]): Map<string, string[]> {
  const known = byId(spans);
  const missing = new Map<string, string[]>();
  for (const { parentSpanId, name } of spans) {
    if (parentSpanId === undefined || known.has(parentSpanId)) continue;
    missing.set(parentSpanId, [...(missing.get(parentSpanId) ?? []), name]);
  }
  return missing;
}

/** Every hop of a task, by the service that makes its span and the span's name. */
const hops = [
  ['orchestrator', 'publish coppice.actor.run.*'],
  ['orchestrator', 'process create coppice.actor.run.*'],
  ['orchestrator', 'process coppice.cmd.orchestrator.*.create-tasks'],
  ['orchestrator', 'publish coppice.actor.task.*'],
  ['orchestrator', 'process create coppice.actor.task.*'],
  ['orchestrator', 'process event coppice.actor.task.*'],
  ['orchestrator', 'publish coppice.cmd.worktree-service.*.prepare'],
  ['worktree-service', 'process coppice.cmd.worktree-service.*.prepare'],
  ['container-service', 'process coppice.cmd.container-service.*.create'],
  ['llm-gateway', 'process coppice.cmd.llm-gateway.*.turn'],
  ['llm-gateway', 'chat plan.yaml'],
  ['container-service', 'process coppice.cmd.container-service.*.write'],
  ['container-service', 'process coppice.cmd.container-service.*.remove'],
  ['worktree-service', 'process coppice.cmd.worktree-service.*.commit'],
  ['worktree-service', 'process coppice.cmd.worktree-service.*.prepare-merge'],
  ['container-service', 'process coppice.cmd.container-service.*.run'],
  ['orchestrator', 'process result coppice.actor.task.*'],
  ['worktree-service', 'process coppice.cmd.worktree-service.*.land'],
  ['worktree-service', 'process coppice.cmd.worktree-service.*.remove'],
  ['orchestrator', 'process event coppice.actor.run.*'],
] as const;
const submitHops = [
  [publisher, 'submit'],
  [publisher, 'call coppice.api.*.run.submit'],
  ['orchestrator', 'serve coppice.api.*.run.submit'],
  ['orchestrator', 'call coppice.call.worktree-service.inspect'],
  ['worktree-service', 'serve coppice.call.worktree-service.inspect'],
] as const;
const intakeHops = [['orchestrator', 'process coppice.intake.*.run'], ...submitHops.slice(3)] as const;

function expectHops(run: Run, expected: readonly (readonly [string, string])[]): void {
  const seen = new Set(run.spans.map(({ service, name }) => `${service}: ${name}`));
  expect(expected.map(([service, name]) => `${service}: ${name}`).filter((hop) => !seen.has(hop))).toEqual([]);
}

test('a whole run is one trace from its publisher on, with every hop in it and no orphan', () => {
  expectHops(first, [...submitHops, ...hops]);
  expect(missingParents(first.spans)).toEqual(new Map());
  const roots = first.spans.filter((span) => span.parentSpanId === undefined);
  expect(roots.map(({ service, name }) => [service, name])).toEqual([[publisher, 'submit']]);
});

test('so is one by the intake, from a publisher of its own, though it lands in turn with the other', () => {
  expectHops(second, [...intakeHops, ...hops]);
  expect([...missingParents(second.spans).keys()]).toEqual([foreign.spanId]);
  // Each landed once, in its own trace.
  for (const { spans } of [first, second]) {
    const landings = spans.filter((span) => span.name === 'process coppice.cmd.worktree-service.*.land');
    expect(landings).toHaveLength(1);
  }
});

test('what is ordered has a span of its own, whose child is the handling; a result belongs to the work that it ends', () => {
  const parents = byId(all);
  const handled = first.spans.filter(({ name }) => name.startsWith('process '));
  const parentOf = ({ parentSpanId }: CollectedSpan) => parents.get(parentSpanId ?? '');
  for (const span of handled.filter(({ name }) => name.startsWith('process coppice.cmd.'))) {
    expect(span.kind).toBe(5);
    expect(parentOf(span)).toMatchObject({ kind: 4, name: span.name.replace('process', 'publish') });
  }
  const toldOnce = handled.filter(({ attributes }) => attributes['coppice.delivery.count'] === 1);
  for (const span of toldOnce.filter(({ name }) => /^process (create|event) /.test(name))) {
    expect(parentOf(span)).toMatchObject({ kind: 4, name: span.name.replace(/^process \w+/, 'publish') });
  }
  const results = handled.filter(({ name }) => name === 'process result coppice.actor.task.*').map(parentOf);
  expect(results.length).toBeGreaterThan(5);
  // Of commands, and of the turn that the landing actor gives.
  expect(results.filter((parent) => parent?.kind !== 5)).toEqual([]);
});

test('what a span says of its run is what its trace is of', () => {
  for (const run of [first, second, broken]) {
    const saying = all.filter((span) => span.attributes['coppice.run.id'] === run.runId);
    expect(saying.length).toBeGreaterThan(0);
    expect(saying.filter((span) => span.traceId !== run.traceId)).toEqual([]);
  }
});

test('no service begins a trace: whatever it does, somebody asked for', () => {
  const roots = all.filter((span) => span.parentSpanId === undefined && !outside.includes(span.service));
  expect(roots.map(({ service, name }) => `${service}: ${name}`)).toEqual([]);
});

test('the wait in the queue is on every span of a message', () => {
  const consumed = all.filter((span) => span.name.startsWith('process '));
  expect(consumed.length).toBeGreaterThan(50);
  const waits = consumed.map((span) => span.attributes['coppice.queue.wait_ms']);
  expect(waits.filter((wait) => typeof wait !== 'number' || wait < 0 || wait > runMsMax)).toEqual([]);
});

test('the call of the model is told in the words of the GenAI conventions', () => {
  const chat = first.spans.find((span) => span.service === 'llm-gateway' && span.name.startsWith('chat '));
  expect(chat?.attributes).toMatchObject({
    'gen_ai.operation.name': 'chat',
    'gen_ai.provider.name': 'scripted',
    'gen_ai.response.finish_reasons': ['stop'],
  });
  expect(byId(all).get(chat?.parentSpanId ?? '')?.name).toBe('process coppice.cmd.llm-gateway.*.turn');
});

test('a name of a span holds no id', () => {
  const names = [...new Set(all.map((span) => span.name))];
  const ids = /[rt][a-z2-7]{16}|_[a-z0-9]+_|[0-9a-f]{8}|node-1|default|\d{3}/;
  expect(names.filter((name) => ids.test(name))).toEqual([]);
  expect(names.length).toBeLessThan(50);
});

test('all four services took part', () => {
  for (const name of serviceNames) expect(first.spans.some((span) => span.service === name)).toBe(true);
});

test('a run in which processes were killed is one trace; each missing parent is a span of a killed process', async ({
  annotate,
}) => {
  expectHops(broken, [...submitHops, ...hops]);
  const prefixes = killed.map(({ name, instance }) => spanIdPrefix(name, instance));
  // The ones that were killed are known by what they had exported.
  for (const { instance } of killed) expect(all.filter((span) => span.instance === instance).length).toBeGreaterThan(0);
  const missing = missingParents(broken.spans);
  await annotate(`missing parents after two kills: ${missing.size}, of ${JSON.stringify([...missing.values()])}`);
  expect([...missing].filter(([spanId]) => !prefixes.includes(spanId.slice(0, prefixes[0]?.length)))).toEqual([]);
  expect(missing.size).toBeLessThanOrEqual(lostSpansMax);
  const roots = broken.spans.filter((span) => span.parentSpanId === undefined);
  expect(roots.map(({ service, name }) => [service, name])).toEqual([[publisher, 'submit']]);
});

test('what was done again is a child of whoever ordered it, and says that it repeats', () => {
  const turns = broken.spans.filter((span) => span.name === 'process coppice.cmd.llm-gateway.*.turn');
  const again = turns.find((span) => span.attributes['coppice.claim.taken_over'] === true);
  expect(again?.attributes['coppice.delivery.count']).toBeGreaterThan(1);
  const ordered = byId(all).get(again?.parentSpanId ?? '');
  expect(ordered).toMatchObject({ service: 'orchestrator', traceId: broken.traceId });
  expect(again?.links).toEqual([{ traceId: broken.traceId, spanId: ordered?.spanId }]);
});

test('spans of worktrees and sandboxes are told in the words of the conventions for version control and containers', () => {
  const attributesOf = (operation: string) =>
    first.spans.find((span) => span.name === `process coppice.cmd.${operation}`)?.attributes;
  expect(attributesOf('worktree-service.*.land')).toMatchObject({
    'vcs.ref.base.name': 'main',
    'vcs.ref.base.revision': expect.stringMatching(/^[0-9a-f]{40}$/) as string,
    'vcs.ref.head.revision': expect.stringMatching(/^[0-9a-f]{40}$/) as string,
    'coppice.run.id': first.runId,
  });
  expect(attributesOf('container-service.*.run')).toMatchObject({
    'container.runtime.name': expect.stringMatching(/^(bubblewrap|none)$/) as string,
    'container.image.name': 'coppice/agent-runtime',
    'process.exit.code': 0,
  });
});

test('coppice trace tells the same run from its stored events, and where Jaeger has it', () => {
  expect(toldJson).toMatchObject({
    kind: 'run',
    name: first.runId,
    outcome: 'succeeded',
    traceId: first.traceId,
    link: `${jaegerUrl}/trace/${first.traceId}`,
    children: [{ kind: 'task', name: 'first', outcome: 'merged' }],
  });
  const [task] = (toldJson as { children: { children: { name: string; children: object[] }[] }[] }).children;
  const states = task?.children ?? [];
  for (const name of ['waiting', 'preparing', 'working', 'committing', 'verifying', 'landing', 'cleaning'])
    expect(states.map((state) => state.name)).toContain(name);
  const ofService = (name: string) => ({ kind: 'step', name, outcome: null, queuedMs: expect.any(Number) as number });
  expect(states.find(({ name }) => name === 'preparing')?.children).toMatchObject([
    ofService('worktree-service.prepare'),
    ofService('container-service.create'),
  ]);
  expect(states.find(({ name }) => name === 'working')?.children).toMatchObject([
    { kind: 'turn', model: 'scripted/plan.yaml', attempts: 1, queuedMs: expect.any(Number) as number },
    ofService('container-service.write'),
  ]);
  // Whoever came second waited for its turn as long as the first had it.
  expect(states.find(({ name }) => name === 'landing')?.children).toContainEqual(
    expect.objectContaining({ kind: 'wait', name: 'waits for its turn to land' }),
  );
  expect(told[0]).toMatch(new RegExp(`^${first.runId} .* succeeded`));
  expect(told.find((line) => line.includes('turn 1'))).toMatch(/^ +│ {2}[├└]─ turn 1 .* queued \d+ ms, \d+ tokens in/);
  expect(told.at(-1)).toBe(`${jaegerUrl}/trace/${first.traceId}`);
});

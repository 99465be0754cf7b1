import { serviceNames, taskIdOf } from '@coppice/contracts';
import type { CollectedSpan } from '@coppice/testing';
import { spanIdPrefix, storedSpanIdPrefix } from '@coppice/telemetry';
import { beforeAll, expect, test } from 'vitest';
import {
  byId,
  foreign,
  jaegerUrl,
  missingParents,
  orderOfTurn,
  publisher,
  traceRuns,
  turns,
} from '../support/traced-runs.ts';
import type { Run } from '../support/traced-runs.ts';

/**
 * Tests that each run is one readable trace with every hop.
 *
 * A killed process doesn't export all of its spans. A span id identifies the process that created the span, so every
 * missing parent span must have the id of a killed process. The number of missing parents is limited by the number of
 * spans that can be in progress or unexported at one moment. The ids of the spans of runs, tasks and states identify no
 * process. These spans are exported when they end, so until then the parent of their children is missing.
 */

/** Programs outside the services that may start a trace. */
const outside = [publisher, 'coppice'];
/** Maximum number of one task's spans in progress or not exported yet. Spans are exported every 100 ms here. */
const lostSpansMax = 40;
/** Maximum number of one task's ended states whose spans aren't exported yet. */
const lostStatesMax = 3;
/** Maximum depth of a task's span tree, including the task's span. */
const depthMax = 6;
const waitMsMax = 120_000;

let runs: Awaited<ReturnType<typeof traceRuns>>;
let first: Run;
let second: Run;
let loops: Run;
let broken: Run;
let all: readonly CollectedSpan[];
beforeAll(async () => {
  runs = await traceRuns();
  ({ first, second, loops, broken, all } = runs);
}, 400_000);

/** Every hop of a task: the service that creates the span, and the span's name. */
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

test('a run is one trace that starts at its publisher, with every hop and without missing parents', () => {
  expectHops(first, [...submitHops, ...hops]);
  expect(missingParents(first.spans)).toEqual(new Map());
  const roots = first.spans.filter((span) => span.parentSpanId === undefined);
  expect(roots.map(({ service, name }) => [service, name])).toEqual([[publisher, 'submit']]);
});

test("a run by the intake from another publisher is also one trace, although its landing waits for the other run's", () => {
  expectHops(second, [...intakeHops, ...hops]);
  expect([...missingParents(second.spans).keys()]).toEqual([foreign.spanId]);
  // A task lands the merge that it has verified. It merges and lands again only if the other run has just moved the
  // branch.
  for (const [run, name] of [
    [first, 'first'],
    [second, 'second'],
  ] as const) {
    const { states, childrenOf } = taskTree(run, name);
    const below = inTime(states.filter((state) => state.name === 'task landing').flatMap((state) => childrenOf(state)));
    const countOf = (command: string) =>
      below.filter((child) => child === `publish coppice.cmd.worktree-service.*.${command}`).length;
    const [merges, landings] = [countOf('prepare-merge'), countOf('land')];
    expect(landings).toBeGreaterThan(0);
    expect([merges, merges + 1]).toContain(landings);
    // A redelivered command has another span with the same effect id.
    const handled = run.spans.filter((span) => span.name === 'process coppice.cmd.worktree-service.*.land');
    expect(new Set(handled.map((span) => span.attributes['coppice.effect.id'])).size).toBe(landings);
  }
});

test('each command has its own span, whose child is the handling, and a result is linked to the handling of its command', () => {
  const parents = byId(all);
  const handled = first.spans.filter(({ name }) => name.startsWith('process '));
  const parentOf = ({ parentSpanId }: CollectedSpan) => parents.get(parentSpanId ?? '');
  for (const span of handled.filter(({ name }) => name.startsWith('process coppice.cmd.'))) {
    expect(span.kind).toBe(5);
    expect(parentOf(span)).toMatchObject({ kind: 4, name: span.name.replace('process', 'publish') });
  }
  const deliveredOnce = handled.filter(({ attributes }) => attributes['coppice.delivery.count'] === 1);
  for (const span of deliveredOnce.filter(({ name }) => /^process (create|event) /.test(name))) {
    expect(parentOf(span)).toMatchObject({ kind: 4, name: span.name.replace(/^process \w+/, 'publish') });
  }
  const results = handled.filter(({ name }) => name === 'process result coppice.actor.task.*');
  expect(results.length).toBeGreaterThan(5);
  // The results belong to commands, or are the landing slot that the landing actor grants.
  const works = results.map(({ links }) => parents.get(links[0]?.spanId ?? ''));
  expect(works.filter((work) => work?.kind !== 5)).toEqual([]);
});

/** Returns the spans of one task and of its states. */
function taskTree({ spans }: Run, name: string) {
  const task = spans.find((span) => span.name === 'task' && span.attributes['coppice.task.name'] === name);
  const childrenOf = (parent: CollectedSpan | undefined) =>
    spans
      .filter(({ parentSpanId }) => parentSpanId === parent?.spanId)
      .toSorted((left, right) => left.startedAtMs - right.startedAtMs);
  const states = childrenOf(task).filter((span) => span.name.startsWith('task '));
  const depthOf = (span: CollectedSpan | undefined): number =>
    1 + Math.max(0, ...childrenOf(span).map((child) => depthOf(child)));
  return { task, states, childrenOf, depth: depthOf(task) };
}
const endOf = ({ startedAtMs, durationMs }: CollectedSpan) => Math.round(startedAtMs + durationMs);
const inTime = (spans: readonly CollectedSpan[]) => spans.map(({ name }) => name);

test("a run has a span, its tasks have child spans, and a task's states are consecutive children of the task's span", () => {
  for (const [run, name] of [
    [first, 'first'],
    [second, 'second'],
  ] as const) {
    const [whole, ...others] = run.spans.filter((span) => span.name === 'run');
    expect(others).toEqual([]);
    expect(whole).toMatchObject({
      service: 'orchestrator',
      status: 0,
      attributes: { 'coppice.run.id': run.runId, 'coppice.state': 'succeeded' },
    });
    const { task, states } = taskTree(run, name);
    expect(task).toMatchObject({
      parentSpanId: whole?.spanId,
      status: 0,
      attributes: { 'coppice.task.id': taskIdOf(run.runId, name), 'coppice.state': 'merged' },
    });
    // Only the first states are fixed, since a task is verified again if the target branch has moved.
    expect(inTime(states).slice(0, 6)).toEqual(
      ['waiting', 'preparing', 'working', 'committing', 'verifying', 'landing'].map((state) => `task ${state}`),
    );
    expect(states.at(-1)?.name).toBe('task cleaning');
    if (whole === undefined || task === undefined) throw new Error('no run or no task');
    expect(states.map(({ startedAtMs }) => startedAtMs)).toEqual([task.startedAtMs, ...states.slice(0, -1).map(endOf)]);
    expect(endOf(states.at(-1) as CollectedSpan)).toBe(endOf(task));
    expect(whole.startedAtMs).toBeLessThanOrEqual(task.startedAtMs);
    expect(endOf(whole)).toBeGreaterThanOrEqual(endOf(task));
  }
});

test('the commands of a state are children of its span', () => {
  const { states, childrenOf } = taskTree(first, 'first');
  const orders = (state: string) =>
    inTime(childrenOf(states.find(({ name }) => name === `task ${state}`)))
      .filter((name) => name.startsWith('publish coppice.cmd.'))
      .map((name) => name.split('.').at(-1));
  expect(['preparing', 'working', 'committing', 'cleaning'].map(orders)).toEqual([
    ['prepare', 'create'],
    ['turn', 'write'],
    ['remove', 'commit'],
    ['remove'],
  ]);
  // A link names the span that caused the command.
  const spans = byId(all);
  for (const order of first.spans.filter(({ name }) => name.startsWith('publish coppice.cmd.'))) {
    expect(spans.get(order.parentSpanId ?? '')?.name).toMatch(/^(run|task .*)$/);
    expect(spans.get(order.links[0]?.spanId ?? '')?.name).toMatch(/^process (create|event|result) /);
  }
});

test("the depth of a task's tree does not depend on the number of turns", () => {
  const [few, many] = [taskTree(loops, 'few'), taskTree(loops, 'many')];
  for (const [name, { states, childrenOf }] of [
    ['few', few],
    ['many', many],
  ] as const) {
    // The numbers of tool calls and turns are equal. The last turn has no tool call, but one call before the first turn
    // reads the repository's instructions.
    const below = inTime(childrenOf(states.find((state) => state.name === 'task working')));
    expect(below.filter((child) => child === orderOfTurn)).toHaveLength(turns[name]);
    expect(below.filter((child) => child === 'publish coppice.cmd.container-service.*.tools')).toHaveLength(
      turns[name],
    );
  }
  expect(many.depth).toBe(few.depth);
  // The levels are the task, its state, the command, the command's handling, and the handler's parts.
  expect(many.depth).toBeLessThanOrEqual(depthMax);
});

test('while a run is in progress, only the spans of the run, its tasks and their current states are missing', () => {
  const spans = byId(broken.spans);
  const names = [...runs.missingMeanwhile.keys()].map((spanId) => spans.get(spanId)?.name);
  expect(new Set(names)).toEqual(new Set(['run', 'task', 'task working']));
  expect(names).toHaveLength(3);
});

test("every span with a run's id is in the trace of that run", () => {
  for (const run of [first, second, loops, broken]) {
    const saying = all.filter((span) => span.attributes['coppice.run.id'] === run.runId);
    expect(saying.length).toBeGreaterThan(0);
    expect(saying.filter((span) => span.traceId !== run.traceId)).toEqual([]);
  }
});

test('no service starts a trace, since everything is requested from outside', () => {
  const roots = all.filter((span) => span.parentSpanId === undefined && !outside.includes(span.service));
  expect(roots.map(({ service, name }) => `${service}: ${name}`)).toEqual([]);
});

test('every span of a delivered message has its wait in the queue', () => {
  const consumed = all.filter((span) => span.name.startsWith('process '));
  expect(consumed.length).toBeGreaterThan(50);
  const waits = consumed.map((span) => span.attributes['coppice.queue.wait_ms']);
  expect(waits.filter((wait) => typeof wait !== 'number' || wait < 0 || wait > waitMsMax)).toEqual([]);
});

test('the span of a model call follows the GenAI conventions', () => {
  const chat = first.spans.find((span) => span.service === 'llm-gateway' && span.name.startsWith('chat '));
  expect(chat?.attributes).toMatchObject({
    'gen_ai.operation.name': 'chat',
    'gen_ai.provider.name': 'scripted',
    'gen_ai.response.finish_reasons': ['stop'],
  });
  expect(byId(all).get(chat?.parentSpanId ?? '')?.name).toBe('process coppice.cmd.llm-gateway.*.turn');
});

test('no span name contains an id', () => {
  const names = [...new Set(all.map((span) => span.name))];
  const ids = /[rt][a-z2-7]{16}|_[a-z0-9]+_|[0-9a-f]{8}|node-1|default|\d{3}/;
  expect(names.filter((name) => ids.test(name))).toEqual([]);
  expect(names.length).toBeLessThan(65);
});

test('all four services export spans', () => {
  for (const name of serviceNames) expect(first.spans.some((span) => span.service === name)).toBe(true);
});

test('a run in which processes were killed is one trace; each missing parent is a span of a killed process', async ({
  annotate,
}) => {
  expectHops(broken, [...submitHops, ...hops]);
  const { killed } = runs;
  const prefixes = killed.map(({ name, instance }) => spanIdPrefix(name, instance));
  // Each killed process must have exported some spans, which shows that the prefixes are right.
  for (const { instance } of killed) expect(all.filter((span) => span.instance === instance).length).toBeGreaterThan(0);
  const missing = missingParents(broken.spans);
  await annotate(`missing parents after two kills: ${missing.size}, of ${JSON.stringify([...missing.values()])}`);
  // These states had ended, but the killed orchestrator hadn't exported their spans yet.
  const lostStates = [...missing.keys()].filter((spanId) => spanId.startsWith(storedSpanIdPrefix));
  expect(lostStates.length).toBeLessThanOrEqual(lostStatesMax);
  prefixes.push(storedSpanIdPrefix);
  expect([...missing].filter(([spanId]) => !prefixes.includes(spanId.slice(0, prefixes[0]?.length)))).toEqual([]);
  for (const name of ['run', 'task']) expect(broken.spans.filter((span) => span.name === name)).toHaveLength(1);
  expect(missing.size).toBeLessThanOrEqual(lostSpansMax);
  const roots = broken.spans.filter((span) => span.parentSpanId === undefined);
  expect(roots.map(({ service, name }) => [service, name])).toEqual([[publisher, 'submit']]);
});

test('a repeated command is a child of the same command span, and is marked as taken over', () => {
  const handled = broken.spans.filter((span) => span.name === 'process coppice.cmd.llm-gateway.*.turn');
  const again = handled.find((span) => span.attributes['coppice.claim.taken_over'] === true);
  expect(again?.attributes['coppice.delivery.count']).toBeGreaterThan(1);
  const ordered = byId(all).get(again?.parentSpanId ?? '');
  expect(ordered).toMatchObject({ service: 'orchestrator', traceId: broken.traceId });
  expect(again?.links).toEqual([{ traceId: broken.traceId, spanId: ordered?.spanId }]);
});

test('spans of worktrees and sandboxes follow the conventions for version control and containers', () => {
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

test('coppice trace shows the same run from its stored events, with a link to Jaeger', () => {
  const { traceLines, traceJson } = runs;
  expect(traceJson).toMatchObject({
    kind: 'run',
    name: first.runId,
    outcome: 'succeeded',
    traceId: first.traceId,
    link: `${jaegerUrl}/trace/${first.traceId}`,
    children: [{ kind: 'task', name: 'first', outcome: 'merged' }],
  });
  const [task] = (traceJson as { children: { children: { name: string; children: object[] }[] }[] }).children;
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
  expect(states.find(({ name }) => name === 'landing')?.children).toContainEqual(
    expect.objectContaining({ kind: 'wait', name: 'waits for its turn to land' }),
  );
  expect(traceLines[0]).toMatch(new RegExp(`^${first.runId} .* succeeded`));
  expect(traceLines.find((line) => line.includes('turn 1'))).toMatch(
    /^ +│ {2}[├└]─ turn 1 .* queued \d+ ms, \d+ tokens in/,
  );
  expect(traceLines.at(-1)).toBe(`${jaegerUrl}/trace/${first.traceId}`);
});

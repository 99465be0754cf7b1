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
 * Each run is one readable trace with every hop, checked on the spans that all processes export during four runs, see traced-runs.ts.
 *
 * Missing spans: a span id identifies its process. So each parent that was never exported must have an id of a killed process, and there may be no more
 * of them than can be in progress or unexported at one moment. The spans of runs, tasks and states have ids that belong to no process;
 * they are exported when they end, so until then their children name a missing parent.
 */

/** Programs that are not services and may start a trace: the publisher and the command line. */
const outside = [publisher, 'coppice'];
/** Upper bound of one task's spans that are in progress or not yet exported; spans are exported every 100 ms here. */
const lostSpansMax = 40;
/** The same for its ended states. */
const lostStatesMax = 3;
/** Depth of a task's span tree, the task's span included. */
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

/** Every hop of a task: the service that makes the span, and the span's name. */
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
  // Each landed once, in its own trace. A command that NATS delivers again, as on a busy machine, has another span but the same effect.
  for (const { spans } of [first, second]) {
    const landings = spans.filter((span) => span.name === 'process coppice.cmd.worktree-service.*.land');
    expect(new Set(landings.map((span) => span.attributes['coppice.effect.id'])).size).toBe(1);
  }
});

test('what is ordered has a span of its own, whose child is the handling; a result is linked to the work that it ends', () => {
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
  // Results of commands, and of the landing slot that the landing actor grants.
  const works = results.map(({ links }) => parents.get(links[0]?.spanId ?? ''));
  expect(works.filter((work) => work?.kind !== 5)).toEqual([]);
});

/** Returns the spans of one task and its states, and the names of the children of each. */
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

test('a run is a span, its tasks are spans below it, and the states of a task below that, one after the other', () => {
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
    // A verified tree is verified again when the target branch has moved; only the first states are fixed.
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

test('what a state orders are siblings below it', () => {
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
  // The span that caused it is a link.
  const spans = byId(all);
  for (const order of first.spans.filter(({ name }) => name.startsWith('publish coppice.cmd.'))) {
    expect(spans.get(order.parentSpanId ?? '')?.name).toMatch(/^(run|task .*)$/);
    expect(spans.get(order.links[0]?.spanId ?? '')?.name).toMatch(/^process (create|event|result) /);
  }
});

test('the tree of a task is as deep after many turns as after few', () => {
  const [few, many] = [taskTree(loops, 'few'), taskTree(loops, 'many')];
  for (const [name, { states, childrenOf }] of [
    ['few', few],
    ['many', many],
  ] as const) {
    // The first tool call, before any turn, reads the repository's instructions.
    const below = inTime(childrenOf(states.find((state) => state.name === 'task working')));
    expect(below.filter((child) => child === orderOfTurn)).toHaveLength(turns[name]);
    expect(below.filter((child) => child === 'publish coppice.cmd.container-service.*.tools')).toHaveLength(
      turns[name],
    );
  }
  expect(many.depth).toBe(few.depth);
  // Task, state, command, its handling, and what the handler does.
  expect(many.depth).toBeLessThanOrEqual(depthMax);
});

test('while a run goes on its own spans, those of its tasks and of their present states are missing, and no others', () => {
  const spans = byId(broken.spans);
  const names = [...runs.missingMeanwhile.keys()].map((spanId) => spans.get(spanId)?.name);
  expect(new Set(names)).toEqual(new Set(['run', 'task', 'task working']));
  expect(names).toHaveLength(3);
});

test('what a span says of its run is what its trace is of', () => {
  for (const run of [first, second, loops, broken]) {
    const saying = all.filter((span) => span.attributes['coppice.run.id'] === run.runId);
    expect(saying.length).toBeGreaterThan(0);
    expect(saying.filter((span) => span.traceId !== run.traceId)).toEqual([]);
  }
});

test('no service begins a trace: everything it does was requested from outside', () => {
  const roots = all.filter((span) => span.parentSpanId === undefined && !outside.includes(span.service));
  expect(roots.map(({ service, name }) => `${service}: ${name}`)).toEqual([]);
});

test('the wait in the queue is on every span of a message', () => {
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

test('a name of a span holds no id', () => {
  const names = [...new Set(all.map((span) => span.name))];
  const ids = /[rt][a-z2-7]{16}|_[a-z0-9]+_|[0-9a-f]{8}|node-1|default|\d{3}/;
  expect(names.filter((name) => ids.test(name))).toEqual([]);
  expect(names.length).toBeLessThan(65);
});

test('all four services took part', () => {
  for (const name of serviceNames) expect(first.spans.some((span) => span.service === name)).toBe(true);
});

test('a run in which processes were killed is one trace; each missing parent is a span of a killed process', async ({
  annotate,
}) => {
  expectHops(broken, [...submitHops, ...hops]);
  const { killed } = runs;
  const prefixes = killed.map(({ name, instance }) => spanIdPrefix(name, instance));
  // A killed process is known by the spans that it had exported.
  for (const { instance } of killed) expect(all.filter((span) => span.instance === instance).length).toBeGreaterThan(0);
  const missing = missingParents(broken.spans);
  await annotate(`missing parents after two kills: ${missing.size}, of ${JSON.stringify([...missing.values()])}`);
  // States that the orchestrator had ended but not yet exported.
  const lostStates = [...missing.keys()].filter((spanId) => spanId.startsWith(storedSpanIdPrefix));
  expect(lostStates.length).toBeLessThanOrEqual(lostStatesMax);
  prefixes.push(storedSpanIdPrefix);
  expect([...missing].filter(([spanId]) => !prefixes.includes(spanId.slice(0, prefixes[0]?.length)))).toEqual([]);
  for (const name of ['run', 'task']) expect(broken.spans.filter((span) => span.name === name)).toHaveLength(1);
  expect(missing.size).toBeLessThanOrEqual(lostSpansMax);
  const roots = broken.spans.filter((span) => span.parentSpanId === undefined);
  expect(roots.map(({ service, name }) => [service, name])).toEqual([[publisher, 'submit']]);
});

test('what was done again is a child of whoever ordered it, and says that it repeats', () => {
  const handled = broken.spans.filter((span) => span.name === 'process coppice.cmd.llm-gateway.*.turn');
  const again = handled.find((span) => span.attributes['coppice.claim.taken_over'] === true);
  expect(again?.attributes['coppice.delivery.count']).toBeGreaterThan(1);
  const ordered = byId(all).get(again?.parentSpanId ?? '');
  expect(ordered).toMatchObject({ service: 'orchestrator', traceId: broken.traceId });
  expect(again?.links).toEqual([{ traceId: broken.traceId, spanId: ordered?.spanId }]);
});

test('spans of worktrees and sandboxes use the words of the conventions for version control and containers', () => {
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

test('coppice trace shows the same run from its stored events, and where Jaeger has it', () => {
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
  // The second task's wait for the landing slot is as long as the first held it.
  expect(states.find(({ name }) => name === 'landing')?.children).toContainEqual(
    expect.objectContaining({ kind: 'wait', name: 'waits for its turn to land' }),
  );
  expect(traceLines[0]).toMatch(new RegExp(`^${first.runId} .* succeeded`));
  expect(traceLines.find((line) => line.includes('turn 1'))).toMatch(
    /^ +│ {2}[├└]─ turn 1 .* queued \d+ ms, \d+ tokens in/,
  );
  expect(traceLines.at(-1)).toBe(`${jaegerUrl}/trace/${first.traceId}`);
});

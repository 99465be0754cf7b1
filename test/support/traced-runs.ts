import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { runIdOf, subjects, taskIdOf } from '@coppice/contracts';
import type { ServiceName } from '@coppice/contracts';
import { eventually, startProcess, startTraceCollector, temporaryRepository } from '@coppice/testing';
import type { CollectedSpan, TemporaryRepository, TraceCollector } from '@coppice/testing';
import { startTelemetry, withSpan } from '@coppice/telemetry';
import { vi } from 'vitest';
import { whyWithout } from './engines.ts';
import { Stack } from './stack.ts';

/**
 * One of four runs, with the spans that all processes export for it.
 *
 * This process submits `first`, and also exports spans. At the same time, `second` is submitted for the same branch
 * through the durable intake. Its publisher has its own trace, and exports no spans. During `broken` the gateway and
 * the orchestrator are killed by SIGKILL. All other processes get SIGTERM, and then export their spans.
 */
export type Run = { runId: string; traceId: string; spans: CollectedSpan[] };

/** Number of turns of the two agents of `loops`. */
export const turns = { few: 2, many: 12 } as const;
export type Loop = keyof typeof turns;
/** Returns JSON, which is also valid YAML. */
const turnsOf = (name: Loop) =>
  JSON.stringify([
    ...Array.from({ length: turns[name] - 1 }, (_, turn) => ({
      toolCalls: [{ name: 'run', arguments: { command: `true ${turn}` } }],
    })),
    { toolCalls: [{ name: 'finish', arguments: { summary: 'Nothing was to be done.' } }] },
  ]);
const script = `
rules:
  - { when: { contains: use few turns }, turns: ${turnsOf('few')} }
  - { when: { contains: use many turns }, turns: ${turnsOf('many')} }
  - { when: { contains: slowly }, turns: [{ text: "good\\n", latencyMs: 2500 }] }
default: { turns: [{ text: "good\\n", latencyMs: 200 }] }
`;
export const publisher = 'publisher';
/** Trace and span of the publisher of `second`. */
export const foreign = { traceId: '4bf92f3577b34da6a3ce929d0e0e4736', spanId: '00f067aa0ba902b7' };
export const jaegerUrl = 'http://jaeger.invalid:16686';
export const orderOfTurn = 'publish coppice.cmd.llm-gateway.*.turn';
/** Number of unexported spans while a task works: the run's, the task's, and that of the task's state. */
const ownSpans = 3;
const runMsMax = 120_000;

/**
 * Runs all four. `traceLines` and `traceJson` are the output of `coppice trace` for `first`. `missingMeanwhile` has the
 * parent spans that weren't exported yet while the model answered `broken`.
 */
export async function traceRuns() {
  const engine = (await whyWithout('bubblewrap')) === null ? 'bubblewrap' : 'none';
  await using collector = await startTraceCollector();
  for (const [name, value] of Object.entries(collector.environment)) vi.stubEnv(name, value);
  const telemetry = await startTelemetry({ serviceName: publisher, instanceId: 'test' });
  const stack = await Stack.start({ engine, script, environment: collector.environment });
  let runs: Awaited<ReturnType<typeof submitAll>>;
  try {
    await using repository = await temporaryRepository({ files: { 'check.sh': 'sleep 0.3; ls *.txt\n' } });
    runs = await submitAll(stack, repository, collector);
  } finally {
    await stack.stop();
    await telemetry.shutdown();
    vi.unstubAllEnvs();
  }
  const all = await settled(collector);
  for (const run of [runs.first, runs.second, runs.loops, runs.broken])
    run.spans = all.filter((span) => span.traceId === run.traceId);
  return { ...runs, all };
}

async function submitAll(stack: Stack, repository: TemporaryRepository, collector: TraceCollector) {
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
  const submit = (name: string, prompt?: string) => submitRequest(request(name, prompt));
  const submitRequest = (wanted: Parameters<Stack['submit']>[0]) =>
    withSpan('submit', {}, async (span): Promise<Run> => {
      const { runId } = await stack.submit(wanted);
      return { runId, traceId: span.spanContext().traceId, spans: [] };
    });

  const traceparent = `00-${foreign.traceId}-${foreign.spanId}-01`;
  const [first] = await Promise.all([
    submit('first'),
    stack.bus.publish(subjects.intake('default'), request('second'), { headers: { traceparent } }),
  ]);
  const second: Run = { runId: runIdOf('default', 'second'), traceId: foreign.traceId, spans: [] };
  await succeeded(stack, first.runId);
  const traceLines = await traceCommand(stack, first.runId);
  const traceJson: unknown = JSON.parse((await traceCommand(stack, first.runId, '--json')).join(''));
  await eventually(async () => stack.run(second.runId));
  await succeeded(stack, second.runId);

  const loop = (name: Loop) => ({
    name,
    description: `Think ${name} times`,
    prompt: `use ${name} turns`,
    agent: { kind: 'loop' as const },
    verify: false as const,
  });
  const loops = await submitRequest({ ...request('loops'), tasks: [loop('few'), loop('many')] });
  await succeeded(stack, loops.runId);

  const broken = await submit('broken', 'slowly');
  const taskId = taskIdOf(broken.runId, 'broken');
  await eventually(async () => (await stack.modelCalls()).some((line) => line.taskId === taskId));
  // Waits until all ended spans are exported. A span that is missing later was in progress when the process was killed.
  const missingMeanwhile = await eventually(() => {
    const spans = collector.spans.filter(({ traceId }) => traceId === broken.traceId);
    const missing = missingParents(spans);
    return spans.some(({ name }) => name === orderOfTurn) && missing.size === ownSpans && missing;
  });
  const killed = [await killAndRestart(stack, 'llm-gateway')];
  await stack.reached(broken.runId, taskId, 'verifying');
  // A killed process loses ended spans that it hasn't exported. A later test needs the names of the spans in
  // `missingMeanwhile`, so this waits for one of them.
  await eventually(() =>
    collector.spans.some(({ traceId, name }) => traceId === broken.traceId && name === 'task working'),
  );
  killed.push(await killAndRestart(stack, 'orchestrator'));
  await succeeded(stack, broken.runId);
  return { first, second, loops, broken, missingMeanwhile, killed, traceLines, traceJson };
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
  const { state, tasks } = await stack.ended(runId, runMsMax);
  if (state !== 'succeeded') throw new Error(`the run ended as ${state}: ${JSON.stringify(tasks)}`);
}

async function killAndRestart(stack: Stack, name: ServiceName): Promise<{ name: ServiceName; instance: string }> {
  const instance = `node-1-${stack.processId(name)}`;
  await stack.killAndRestart(name);
  return { name, instance };
}

/** Waits until no more spans arrive, since the collector may still receive exported spans. */
async function settled(collector: TraceCollector): Promise<readonly CollectedSpan[]> {
  for (let before = -1; before !== collector.spans.length; await sleep(300)) before = collector.spans.length;
  return collector.spans;
}

export const byId = (spans: readonly CollectedSpan[]) => new Map(spans.map((span) => [span.spanId, span]));

/** Returns the ids of parent spans that weren't exported, with the names of their child spans. */
export function missingParents(spans: readonly CollectedSpan[]): Map<string, string[]> {
  const known = byId(spans);
  const missing = new Map<string, string[]>();
  for (const { parentSpanId, name } of spans) {
    if (parentSpanId === undefined || known.has(parentSpanId)) continue;
    missing.set(parentSpanId, [...(missing.get(parentSpanId) ?? []), name]);
  }
  return missing;
}

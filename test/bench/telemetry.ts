import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { serviceNames } from '@coppice/contracts';
import { temporaryRepository } from '@coppice/testing';
import type { TemporaryRepository } from '@coppice/testing';
import { Stack } from '../support/stack.ts';
import type { RawEngine } from './by-hand.ts';
import { median, print } from './report.ts';
import { instantScript, project, runTask, throughput } from './task.ts';

/**
 * Measures the cost of traces and metrics per task. Stacks that differ only in telemetry run the same tasks
 * alternately. The results are ratios to the stack without telemetry. Other load on the machine affects the CPU time of
 * the four services least. The collector of the spans runs in this process, so its work isn't counted.
 */
export const telemetryVariants = {
  off: { COPPICE_TRACES: 'off', COPPICE_METRICS: 'off' },
  /** The services count metrics, but nothing scrapes them. */
  metrics: { COPPICE_TRACES: 'off' },
  /** One run in ten is traced. */
  'metrics and sampled traces': { OTEL_TRACES_SAMPLER: 'parentbased_traceidratio', OTEL_TRACES_SAMPLER_ARG: '0.1' },
  'metrics and traces': {},
} as const satisfies Record<string, Record<string, string>>;
export type TelemetryVariant = keyof typeof telemetryVariants;

export type TelemetryBenchSettings = { engine: RawEngine; rounds: number; files: number };
type Figures = { taskMs: number; tasksPerSecond: number; cpuMsPerTask: number };
export type TelemetryBenchResult = {
  engine: RawEngine;
  rounds: number;
  spansPerTask: number;
  /** Medians over the rounds. */
  figures: Record<TelemetryVariant, Figures>;
  /** Medians over the rounds of the ratio to `off` in the same round. */
  ratios: Record<TelemetryVariant, Figures>;
};

/** Rounds before the measurement. Code gets faster with use, so the first stack would have a disadvantage. */
const warmUpRounds = 2;
const atOnce = 8;
/** Milliseconds per tick (USER_HZ), the unit in which Linux reports CPU time. */
const tickMs = 10;

type Bench = { variant: TelemetryVariant; stack: Stack; repository: TemporaryRepository; rounds: Figures[] };

export async function benchTelemetry(settings: TelemetryBenchSettings): Promise<TelemetryBenchResult> {
  await using collector = await startSink();
  await using stacks = new AsyncDisposableStack();
  const benches: Bench[] = [];
  for (const variant of Object.keys(telemetryVariants) as TelemetryVariant[]) {
    const environment = {
      COPPICE_LOST_AFTER_MS: '15000',
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      ...telemetryVariants[variant],
    };
    const { engine } = settings;
    const stack = stacks.use(await Stack.start({ engine, script: instantScript, environment }));
    const repository = stacks.use(await temporaryRepository({ files: project(settings.files) }));
    const bench = { variant, stack, repository, rounds: [] };
    benches.push(bench);
  }
  for (let round = -warmUpRounds; round < settings.rounds; round++) {
    // Rotates the order, so that the previous stack's effects, such as disk writes, slow down all stacks equally.
    const order = benches.map((_, index) => benches[(index + round + warmUpRounds) % benches.length] as Bench);
    for (const bench of order) {
      const figures = await measure(bench, String(round + warmUpRounds));
      if (round >= 0) bench.rounds.push(figures);
    }
    if (round < 0) continue;
    const times = benches.map(({ variant, rounds }) => `${variant} ${Math.round(rounds.at(-1)?.taskMs ?? 0)} ms`);
    print(`round ${round + 1} of ${settings.rounds}: ${times.join(', ')}`);
  }
  return { ...settings, ...resultOf(benches), spansPerTask: await spansPerTask(benches, collector) };
}

async function measure({ stack, repository }: Bench, name: string): Promise<Figures> {
  const { totalMs: taskMs } = await runTask(stack, repository.path, `one-${name}.txt`);
  const before = cpuMs(stack);
  const tasksPerSecond = await throughput(stack, repository.path, { atOnce, name });
  return { taskMs, tasksPerSecond, cpuMsPerTask: (cpuMs(stack) - before) / atOnce };
}

/** Returns the CPU milliseconds that the four services have used so far, without their child processes. */
function cpuMs(stack: Stack): number {
  return serviceNames.reduce((sum, name) => {
    const stat = readFileSync(`/proc/${stack.processId(name)}/stat`, 'utf8');
    // The program's name may contain any character, so only the fields after its closing bracket are split.
    // User time is field 14, and system time is field 15.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return sum + (Number(fields[11]) + Number(fields[12])) * tickMs;
  }, 0);
}

function resultOf(benches: readonly Bench[]): Pick<TelemetryBenchResult, 'figures' | 'ratios'> {
  const off = benches.find(({ variant }) => variant === 'off')?.rounds ?? [];
  const medians = (rounds: readonly Figures[]): Figures => ({
    taskMs: median(rounds.map(({ taskMs }) => taskMs)),
    tasksPerSecond: median(rounds.map(({ tasksPerSecond }) => tasksPerSecond)),
    cpuMsPerTask: median(rounds.map(({ cpuMsPerTask }) => cpuMsPerTask)),
  });
  const ratio = (figures: Figures, base: Figures | undefined): Figures => ({
    taskMs: figures.taskMs / (base?.taskMs ?? Number.NaN),
    tasksPerSecond: figures.tasksPerSecond / (base?.tasksPerSecond ?? Number.NaN),
    cpuMsPerTask: figures.cpuMsPerTask / (base?.cpuMsPerTask ?? Number.NaN),
  });
  const each = (value: (bench: Bench) => Figures) =>
    Object.fromEntries(benches.map((bench) => [bench.variant, value(bench)])) as Record<TelemetryVariant, Figures>;
  return {
    figures: each(({ rounds }) => medians(rounds)),
    ratios: each(({ rounds }) => medians(rounds.map((figures, index) => ratio(figures, off[index])))),
  };
}

type Sink = AsyncDisposable & { url: string; countSpans(): void; spans: number };

/** Counts the spans of an additional task, since reading spans during the measurement would take too much time. */
async function spansPerTask(benches: readonly Bench[], collector: Sink): Promise<number> {
  const traced = benches.find(({ variant }) => variant === 'metrics and traces');
  if (traced === undefined) return Number.NaN;
  await new Promise((resolve) => setTimeout(resolve, exportDelayMs));
  collector.countSpans();
  await runTask(traced.stack, traced.repository.path, 'counted.txt');
  await new Promise((resolve) => setTimeout(resolve, exportDelayMs));
  return collector.spans;
}

/** Longer than the batch processor's default delay, so that all spans are exported. */
const exportDelayMs = 8_000;

async function startSink(): Promise<Sink> {
  let counting = false;
  const sink = { spans: 0 };
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    if (counting) request.on('data', (chunk: Buffer) => chunks.push(chunk));
    else request.resume();
    request.on('end', () => {
      sink.spans += Buffer.concat(chunks).toString().split('"startTimeUnixNano"').length - 1;
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    countSpans: () => (counting = true),
    get spans() {
      return sink.spans;
    },
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

import { fork } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { measureLeaving } from './gateway/leaving.ts';
import { chunksPerStream, pacedChunkMs } from './gateway/load-plan.ts';
import type { Kind, Load, LoadResult } from './gateway/load-plan.ts';
import { cpuMsOf, ended, otherCheckout, residentBytesOf, startTargets } from './gateway/targets.ts';
import type { Target, Targets } from './gateway/targets.ts';
import { median, print } from './report.ts';

/**
 * Benchmark of the time that the gateway adds to a direct request to a model server, over HTTP and on the bus. A bare
 * proxy, as the minimum, and other gateways run alternately for comparison. On a machine with few processors the
 * processes slow each other down, so ratios and CPU time per request are more reliable than milliseconds.
 */
export type GatewayBenchSettings = { rounds: number; streams: number; against: string | null };

const loads = {
  'whole, 1 at once': { kind: 'whole', atOnce: 1, count: 400 },
  'whole, 32 at once': { kind: 'whole', atOnce: 32, count: 3_000 },
  'whole, 256 at once': { kind: 'whole', atOnce: 256, count: 3_000 },
  'stream, 1 at once': { kind: 'stream', atOnce: 1, count: 100 },
  'stream, 32 at once': { kind: 'stream', atOnce: 32, count: 640 },
  'paced stream, 1 at once': { kind: 'paced', atOnce: 1, count: 8 },
  'paced stream, 32 at once': { kind: 'paced', atOnce: 32, count: 160 },
} as const satisfies Record<string, { kind: Kind; atOnce: number; count: number }>;
export type LoadName = keyof typeof loads;
const loadNames = Object.keys(loads) as LoadName[];

/** Values in milliseconds, unless the name has another unit. `added` means the difference to direct requests. */
export type GatewayFigures = {
  addedP50: number;
  addedP99: number;
  addedFirstChunkP50: number;
  perSecond: number;
  cpuMicrosecondsPerRequest: number;
};
type Rounds = Record<LoadName, GatewayFigures[]>;

export type GatewayBenchResult = GatewayBenchSettings & {
  /** Medians over the rounds, by gateway and load. */
  figures: Record<string, Record<LoadName, GatewayFigures>>;
  /** Milliseconds from a client's disconnect during a paced stream until the upstream's connection closes. */
  leaving: Record<'direct' | 'coppice', { p50: number; max: number }>;
  memory: { streams: number; heapGrowthBytes: number; residentGrowthBytes: number };
};

/** Requests before the measurement. The code gets faster during the first ten thousand requests or so. */
const warmUp = [
  { kind: 'whole', atOnce: 32, count: 12_000 },
  { kind: 'stream', atOnce: 32, count: 2_000 },
] as const;
const leavings = 50;
const memoryAtOnce = 32;
/** Streams before the measurement of memory. Caches and pools then have their final size. */
const memoryWarmUpStreams = 3_000;

export async function benchGateway(settings: GatewayBenchSettings): Promise<GatewayBenchResult> {
  await using targets = await startTargets(settings.against);
  await using generator = await startGenerator();
  const measure: Measure = async (target, { kind, atOnce, count }) => {
    const { url, headers, bus } = target;
    const before = cpuMsOf(target.processId);
    const result = await generator.give({ url, headers, bus, model: target.modelFor(kind), kind, atOnce, count });
    return { result, cpuMs: cpuMsOf(target.processId) - before };
  };
  const rounds = new Map<string, Rounds>();
  for (const { name } of targets.others)
    rounds.set(name, Object.fromEntries(loadNames.map((load) => [load, []])) as unknown as Rounds);
  for (const target of [targets.direct, ...targets.others]) for (const load of warmUp) await measure(target, load);
  print('warm');
  for (let round = 0; round < settings.rounds; round++) {
    await measureRound(targets, measure, round, (name, load, figures) => rounds.get(name)?.[load].push(figures));
    print(`round ${round + 1} of ${settings.rounds}`);
  }
  const figures = Object.fromEntries([...rounds].map(([name, own]) => [name, mediansOf(own)]));
  const leaving = await measureLeavings(targets);
  return { ...settings, figures, leaving, memory: await measureMemory(targets, measure, settings.streams) };
}

type Measure = (
  target: Target,
  load: Pick<Load, 'kind' | 'atOnce' | 'count'>,
) => Promise<{ result: LoadResult; cpuMs: number }>;
type Report = (target: string, load: LoadName, figures: GatewayFigures) => void;

async function measureRound(
  { direct, others }: Targets,
  measure: Measure,
  round: number,
  report: Report,
): Promise<void> {
  for (const name of loadNames) {
    const base = (await measure(direct, loads[name])).result;
    // Rotates the order, so that each target has each position equally often.
    for (const index of others.keys()) {
      const target = others[(index + round) % others.length] as Target;
      const { result, cpuMs } = await measure(target, loads[name]);
      report(target.name, name, {
        addedP50: quantile(result.totalMs, 0.5) - quantile(base.totalMs, 0.5),
        addedP99: quantile(result.totalMs, 0.99) - quantile(base.totalMs, 0.99),
        addedFirstChunkP50: quantile(result.firstChunkMs, 0.5) - quantile(base.firstChunkMs, 0.5),
        perSecond: (1_000 * loads[name].count) / result.tookMs,
        cpuMicrosecondsPerRequest: (1_000 * cpuMs) / loads[name].count,
      });
    }
  }
}

/** One process generates all loads, so that all targets get the same, warmed-up generator. */
async function startGenerator() {
  const generator = fork(path.join(import.meta.dirname, 'gateway/load.ts'));
  await once(generator, 'message');
  return {
    async give(load: Load): Promise<LoadResult> {
      generator.send(load);
      const [result] = (await once(generator, 'message')) as [LoadResult | { error: string }];
      if ('error' in result) throw new Error(`${load.url}, ${load.kind}, ${load.atOnce} at once: ${result.error}`);
      return result;
    },
    [Symbol.asyncDispose]: () => ended(generator),
  };
}

const quantile = (sorted: readonly number[], part: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN;

const mediansOf = (rounds: Rounds): Record<LoadName, GatewayFigures> =>
  Object.fromEntries(
    loadNames.map((load) => {
      const of = (name: keyof GatewayFigures) => median(rounds[load].map((figures) => figures[name]));
      const medians: GatewayFigures = {
        addedP50: of('addedP50'),
        addedP99: of('addedP99'),
        addedFirstChunkP50: of('addedFirstChunkP50'),
        perSecond: of('perSecond'),
        cpuMicrosecondsPerRequest: of('cpuMicrosecondsPerRequest'),
      };
      return [load, medians];
    }),
  ) as Record<LoadName, GatewayFigures>;

async function measureLeavings({ upstream, direct, others }: Targets): Promise<GatewayBenchResult['leaving']> {
  const coppice = others.find(({ name }) => name === 'coppice');
  const of = async (target: Target | undefined) => {
    const took = target === undefined ? [] : await measureLeaving(target, upstream, leavings);
    return { p50: quantile(took, 0.5), max: took.at(-1) ?? Number.NaN };
  };
  return { direct: await of(direct), coppice: await of(coppice) };
}

async function measureMemory(
  { others }: Targets,
  measure: Measure,
  streams: number,
): Promise<GatewayBenchResult['memory']> {
  const coppice = others.find(({ name }) => name === 'coppice');
  if (coppice === undefined || coppice.heapBytes === null || streams === 0)
    return { streams: 0, heapGrowthBytes: Number.NaN, residentGrowthBytes: Number.NaN };
  const stream = { kind: 'stream', atOnce: memoryAtOnce } as const;
  await measure(coppice, { ...stream, count: memoryWarmUpStreams });
  const [heap, resident] = [await coppice.heapBytes(), residentBytesOf(coppice.processId)];
  await measure(coppice, { ...stream, count: streams });
  const heapGrowthBytes = (await coppice.heapBytes()) - heap;
  return { streams, heapGrowthBytes, residentGrowthBytes: residentBytesOf(coppice.processId) - resident };
}

export function gatewayReport({ figures, leaving, memory, rounds }: GatewayBenchResult): string[] {
  const lines = Object.entries(figures).flatMap(([name, byLoad]) => [
    `${name}:`,
    ...loadNames.map((load) => `  ${load}: ${figuresText(byLoad[load], loads[load].kind)}`),
  ]);
  const coppice = figures['coppice'];
  const bare = figures['bare proxy'];
  if (coppice === undefined || bare === undefined) return lines;
  const [one, many] = ['whole, 1 at once', 'whole, 32 at once'] as const;
  const stream = 'stream, 1 at once';
  const cpu = (of: typeof coppice) => of[many].cpuMicrosecondsPerRequest;
  lines.push(
    `added at 1: ${ms(coppice[one].addedP50)} (aim: at most 0.5 ms); the bare proxy ${ms(bare[one].addedP50)}`,
    `added at 32, against the bare proxy: ${(coppice[many].addedP50 / bare[many].addedP50).toFixed(2)} (aim: at most 1.5); processor time ${(cpu(coppice) / cpu(bare)).toFixed(2)}`,
    `first chunk: ${ms(coppice[stream].addedFirstChunkP50)} added (aim: at most 1 ms); the bare proxy ${ms(bare[stream].addedFirstChunkP50)}`,
  );
  const before = figures[otherCheckout];
  if (before !== undefined)
    lines.push(
      `throughput at 32 against the other checkout: ${(coppice[many].perSecond / before[many].perSecond).toFixed(2)}; processor time ${(cpu(coppice) / cpu(before)).toFixed(2)}`,
    );
  for (const [peer, aim] of [
    ['@portkey-ai/gateway', 3],
    ['@musistudio/llms', 2],
  ] as const) {
    const other = figures[peer];
    if (other === undefined) lines.push(`${peer}: not run`);
    else
      lines.push(
        `throughput at 32 against ${peer}: ${(coppice[many].perSecond / other[many].perSecond).toFixed(2)} (aim: ${aim}; the bare proxy ${(bare[many].perSecond / other[many].perSecond).toFixed(2)}); processor time ${(cpu(coppice) / cpu(other)).toFixed(2)} (${(cpu(bare) / cpu(other)).toFixed(2)})`,
      );
  }
  lines.push(
    `a client disconnects: the connection to the upstream is closed ${ms(leaving.coppice.p50)} later, at most ${ms(leaving.coppice.max)} (without a gateway ${ms(leaving.direct.p50)}, ${ms(leaving.direct.max)}; aim: before its next chunk, ${pacedChunkMs} ms later)`,
  );
  if (memory.streams > 0)
    lines.push(
      `after ${memory.streams} streams: ${mebibytes(memory.heapGrowthBytes)} more on the heap, ${mebibytes(memory.residentGrowthBytes)} more in all (aim: no growth)`,
    );
  return [...lines, `medians of ${rounds} rounds`];
}

function figuresText(figures: GatewayFigures, kind: Kind): string {
  const { addedP50, addedP99, addedFirstChunkP50, perSecond, cpuMicrosecondsPerRequest: cpu } = figures;
  const first = kind === 'whole' ? '' : `, first chunk ${ms(addedFirstChunkP50)}`;
  const chunk = kind === 'whole' ? '' : `, ${(cpu / chunksPerStream).toFixed(1)} µs a chunk`;
  return `added p50 ${ms(addedP50)}, p99 ${ms(addedP99)}${first}; ${Math.round(perSecond)} a second; processor time ${Math.round(cpu)} µs a request${chunk}`;
}

const ms = (value: number): string => `${value.toFixed(2)} ms`;
const mebibytes = (bytes: number): string => `${(bytes / 1024 / 1024).toFixed(1)} MiB`;

import { temporaryFolder, temporaryRepository } from '@coppice/testing';
import { Stack } from '../support/stack.ts';
import { ByHand } from './by-hand.ts';
import type { RawEngine } from './by-hand.ts';
import { median, print } from './report.ts';

/**
 * Measures the time that Coppice adds to a task whose model answers at once. Tasks with Coppice, from the request until
 * the merge, alternate with the same operations without Coppice ("by hand").
 */
export type TaskBenchSettings = { engines: RawEngine[]; rounds: number; files: number };

export const instantScript = 'default: { turns: [{ text: "good\\n" }] }';

export type TaskBenchResult = {
  engine: RawEngine;
  rounds: number;
  coppiceMs: number;
  byHandMs: number;
  ratio: number;
  /** Milliseconds by hand in folders with the same file attribute as Coppice's folders. */
  markedByHandMs: number;
  markedRatio: number;
  steps: Record<string, number>;
  byHandSteps: Record<string, number>;
  /** Milliseconds that each step takes longer than the same step by hand in folders with the attribute. */
  excess: Record<string, number>;
  /** Includes acknowledgements and reads. */
  messagesPerTask: number;
  tasksPerSecond: Record<string, number>;
};

export async function benchTask(settings: TaskBenchSettings): Promise<TaskBenchResult[]> {
  const results: TaskBenchResult[] = [];
  for (const engine of settings.engines) results.push(await benchEngine(engine, settings));
  return results;
}

async function benchEngine(engine: RawEngine, { rounds, files }: TaskBenchSettings): Promise<TaskBenchResult> {
  await using stack = await Stack.start({
    engine,
    script: instantScript,
    environment: { COPPICE_LOST_AFTER_MS: '15000' },
  });
  await using ours = await temporaryRepository({ files: project(files) });
  await using theirs = await temporaryRepository({ files: project(files) });
  await using folder = await temporaryFolder('by-hand');
  await using others = await temporaryRepository({ files: project(files) });
  await using marked = await temporaryFolder('by-hand');
  const byHand = await ByHand.in(folder.path, { engine, repository: theirs.path });
  const markedByHand = await ByHand.in(marked.path, { engine, repository: others.path, marked: true });
  await runTask(stack, ours.path, 'warm-up.txt');
  for (const each of [byHand, markedByHand]) {
    await each.setUp();
    await each.task('warm-up.txt', 'good\n');
  }
  const coppice: { totalMs: number; steps: Record<string, number> }[] = [];
  const messages: number[] = [];
  const hand: { totalMs: number; steps: Record<string, number> }[] = [];
  const markedHand: typeof hand = [];
  for (let round = 0; round < rounds; round++) {
    const before = await messagesIn(stack);
    coppice.push(await runTask(stack, ours.path, `file-${round}.txt`));
    messages.push((await messagesIn(stack)) - before);
    hand.push(await byHand.task(`file-${round}.txt`, 'good\n'));
    markedHand.push(await markedByHand.task(`file-${round}.txt`, 'good\n'));
    print(
      `${engine}, round ${round + 1} of ${rounds}: ${Math.round(coppice.at(-1)?.totalMs ?? 0)} ms, by hand ${Math.round(hand.at(-1)?.totalMs ?? 0)} ms`,
    );
  }
  const tasksPerSecond: Record<string, number> = {};
  for (const atOnce of [1, 8, 32]) {
    const perSecond = await throughput(stack, ours.path, { atOnce, name: String(atOnce) });
    print(`${atOnce} at once: ${perSecond.toFixed(2)} tasks a second`);
    tasksPerSecond[String(atOnce)] = perSecond;
  }
  const [steps = {}, byHandSteps = {}, markedSteps = {}] = [coppice, hand, markedHand].map((samples) =>
    medians(samples.map((sample) => sample.steps)),
  );
  const coppiceMs = median(coppice.map(({ totalMs }) => totalMs));
  const byHandMs = median(hand.map(({ totalMs }) => totalMs));
  return {
    engine,
    rounds,
    coppiceMs,
    byHandMs,
    ratio: median(coppice.map(({ totalMs }, index) => totalMs / (hand[index]?.totalMs ?? Number.NaN))),
    markedByHandMs: median(markedHand.map(({ totalMs }) => totalMs)),
    markedRatio: median(coppice.map(({ totalMs }, index) => totalMs / (markedHand[index]?.totalMs ?? Number.NaN))),
    steps,
    byHandSteps,
    excess: excessOf(steps, markedSteps),
    messagesPerTask: median(messages),
    tasksPerSecond,
  };
}

export const project = (files: number): Record<string, string> =>
  Object.fromEntries(
    Array.from({ length: files }, (_, index) => [`src/${index % 50}/file-${index}.txt`, `line ${index}\n`.repeat(20)]),
  );

const task = (name: string, file: string, model: string) => ({
  name,
  description: `Write ${file}`,
  prompt: 'write',
  agent: { kind: 'prompt', file },
  model,
  verify: 'true',
});

export async function runTask(
  stack: Stack,
  repository: string,
  file: string,
): Promise<{ totalMs: number; steps: Record<string, number> }> {
  const started = Date.now();
  const { runId, tasks } = await stack.submit({
    repository,
    baseBranch: 'main',
    tasks: [task('one', file, stack.model)],
  });
  const taskId = tasks[0]?.taskId ?? '';
  await stack.reached(runId, taskId, 'merged');
  const steps: Record<string, number> = {};
  let [since, state] = [started, 'submit'];
  for (const event of await stack.events(runId)) {
    if (event.type !== 'coppice.task-state') continue;
    const at = Date.parse(event.time);
    steps[state] = at - since;
    [since, state] = [at, event.data.to];
  }
  return { totalMs: since - started, steps };
}

/** Runs `atOnce` tasks, but at least eight. @returns tasks per second, from the request until the last merge */
export async function throughput(
  stack: Stack,
  repository: string,
  { atOnce, name }: { atOnce: number; name: string },
): Promise<number> {
  const count = Math.max(8, atOnce);
  const tasks = Array.from({ length: count }, (_, index) =>
    task(`t${index}`, `many-${name}-${index}.txt`, stack.model),
  );
  const started = performance.now();
  const { runId } = await stack.submit({ repository, baseBranch: 'main', concurrency: atOnce, tasks });
  const run = await stack.ended(runId, 600_000);
  if (run.state !== 'succeeded') throw new Error(`a task failed: ${JSON.stringify(run.tasks)}`);
  return (count * 1_000) / (performance.now() - started);
}

function medians(samples: Record<string, number>[]): Record<string, number> {
  const names = [...new Set(samples.flatMap((sample) => Object.keys(sample)))];
  return Object.fromEntries(names.map((name) => [name, median(samples.map((sample) => sample[name] ?? 0))]));
}

/** Steps by hand that correspond to each state of a task. */
const sameByHand: Record<string, string[]> = {
  preparing: ['prepare'],
  working: ['write'],
  committing: ['commit'],
  verifying: ['merge', 'verify'],
  landing: ['land'],
  cleaning: ['clean'],
};

const excessOf = (steps: Record<string, number>, byHand: Record<string, number>): Record<string, number> =>
  Object.fromEntries(
    Object.entries(steps).map(([state, ms]) => [
      state,
      ms - (sameByHand[state] ?? []).reduce((sum, step) => sum + (byHand[step] ?? 0), 0),
    ]),
  );

/** Returns the number of messages that the server has received so far. */
async function messagesIn(stack: Stack): Promise<number> {
  const response = await fetch(`${stack.nats.monitoringUrl}/varz`);
  return ((await response.json()) as { in_msgs: number }).in_msgs;
}

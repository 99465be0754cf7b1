import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { serviceNames } from '@coppice/contracts';
import type { ServiceName } from '@coppice/contracts';
import { temporaryRepository } from '@coppice/testing';
import { Stack } from '../support/stack.ts';
import type { RawEngine } from './by-hand.ts';
import { print } from './report.ts';
import { project } from './task.ts';

/**
 * Measures the memory of each process, the data that a task leaves in JetStream, and the disk space of a task. Each
 * task has a `loop` agent that runs one command per turn. Each service runs in a separate process.
 */
export type SizingSettings = { engine: RawEngine; files: number; tasks: number };

export type SizingResult = {
  engine: RawEngine;
  tasks: number;
  files: number;
  turnsPerTask: number;
  /** Resident bytes of each process before the run, at most during the run, and after the run. */
  memory: Record<string, { atRest: number; atMost: number; after: number }>;
  /** Bytes per task in each stream after the run. */
  storedBytesPerTask: Record<string, number>;
  /** Includes messages that were deleted after their acknowledgement. */
  storedMessagesPerTask: number;
  diskBytesOfRepository: number;
  diskBytesPerTaskAtWork: number;
  diskBytesPerTaskAfter: number;
  seconds: number;
};

const turnsPerTask = 10;
const turnLatencyMs = 500;
const sampleEveryMs = 200;
const runMsMax = 900_000;

export async function benchSizing({ engine, files, tasks }: SizingSettings): Promise<SizingResult> {
  await using stack = await Stack.start({ engine, script: script(), environment: { COPPICE_LOST_AFTER_MS: '15000' } });
  await using repository = await temporaryRepository({ files: project(files) });
  // This run makes the services create their stores and load the modules that they import late.
  await run(stack, repository.path, 'warm-up', 1);
  const [atRest, diskBefore, storedBefore] = [await memoryOf(stack), await diskOf(stack), await storedIn(stack)];
  const atMost = { ...atRest };
  let diskAtWork = 0;
  const ended = new AbortController();
  const samples = (async () => {
    while (!ended.signal.aborted) {
      for (const [name, bytes] of Object.entries(await memoryOf(stack))) {
        atMost[name] = Math.max(atMost[name] ?? 0, bytes);
      }
      diskAtWork = Math.max(diskAtWork, await diskOf(stack));
      await sleep(sampleEveryMs);
    }
  })();
  const started = performance.now();
  await run(stack, repository.path, 'measured', tasks);
  const seconds = (performance.now() - started) / 1_000;
  ended.abort();
  await samples;
  const [after, diskAfter, storedAfter] = [await memoryOf(stack), await diskOf(stack), await storedIn(stack)];
  const perTask = (difference: number): number => difference / tasks;
  return {
    engine,
    tasks,
    files,
    turnsPerTask,
    memory: Object.fromEntries(
      Object.keys(atRest).map((name) => [
        name,
        { atRest: atRest[name] ?? 0, atMost: atMost[name] ?? 0, after: after[name] ?? 0 },
      ]),
    ),
    storedBytesPerTask: Object.fromEntries(
      storedAfter.map(({ name, bytes }) => [
        name,
        perTask(bytes - (storedBefore.find((stream) => stream.name === name)?.bytes ?? 0)),
      ]),
    ),
    storedMessagesPerTask: perTask(lastSequences(storedAfter) - lastSequences(storedBefore)),
    diskBytesOfRepository: diskBefore,
    diskBytesPerTaskAtWork: perTask(diskAtWork - diskBefore),
    diskBytesPerTaskAfter: perTask(diskAfter - diskBefore),
    seconds,
  };
}

function script(): string {
  // Each call is different, because an agent that repeats a call is stopped.
  const call = (turn: number) => ({
    name: 'run',
    arguments: { command: `cat src/1/file-1.txt | tee -a notes.txt | tail -${turn + 1}` },
  });
  const turns = Array.from({ length: turnsPerTask - 1 }, (_, turn) => ({
    toolCalls: [call(turn)],
    latencyMs: turnLatencyMs,
  }));
  const finish = { toolCalls: [{ name: 'finish', arguments: { summary: 'Done.' } }] };
  // JSON is also YAML.
  return JSON.stringify({ default: { turns: [...turns, finish] } });
}

async function run(stack: Stack, repository: string, name: string, count: number): Promise<void> {
  const { runId } = await stack.submit({
    repository,
    baseBranch: 'main',
    concurrency: count,
    defaults: { model: stack.model },
    tasks: Array.from({ length: count }, (_, index) => ({
      name: `${name}-${index}`,
      description: `Do ${name} ${index}`,
      prompt: 'do it',
      agent: { kind: 'loop' },
      verify: 'test -f notes.txt',
      // All tasks write the same file, so only one task could land.
      merge: 'manual',
    })),
  });
  const isReady = async () => {
    const states = [...(await stack.tasks(runId)).values()].map(({ state, reason }) => `${state}: ${reason}`);
    const wrong = states.find((state) => /^(failed|timed-out|no-changes)/.test(state));
    if (wrong !== undefined) throw new Error(`a task ended as ${wrong}`);
    return states.length === count && states.every((state) => state.startsWith('ready'));
  };
  const deadline = performance.now() + runMsMax;
  while (!(await isReady())) {
    if (performance.now() > deadline) throw new Error(`the tasks were not done within ${runMsMax} ms`);
    await sleep(sampleEveryMs);
  }
  for (const { taskId } of (await stack.tasks(runId)).values()) await stack.command('taskDiscard', { taskId });
  await stack.ended(runId, runMsMax);
}

const pidsOf = (stack: Stack): [string, number][] => [
  ...serviceNames.map((name: ServiceName): [string, number] => [name, stack.processId(name)]),
  ['nats-server', stack.nats.pid],
];

/** Returns resident bytes. Works only on Linux. */
async function memoryOf(stack: Stack): Promise<Record<string, number>> {
  const read = async ([name, pid]: [string, number]) => {
    const status = await readFile(`/proc/${pid}/status`, 'utf8');
    return [name, Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1_024] as const;
  };
  return Object.fromEntries(await Promise.all(pidsOf(stack).map(read)));
}

async function diskOf(stack: Stack): Promise<number> {
  // Ignores errors, since `du` fails for files that are removed while it runs.
  const { stdout } = await promisify(execFile)('sh', ['-c', 'du -sk "$0" 2>/dev/null || true', stack.dataFolder]);
  return Number(stdout.split('\t')[0]) * 1_024;
}

type StoredStream = { name: string; bytes: number; lastSequence: number };

async function storedIn(stack: Stack): Promise<StoredStream[]> {
  const response = await fetch(`${stack.nats.monitoringUrl}/jsz?accounts=true&streams=true`);
  const { account_details: accounts } = (await response.json()) as {
    account_details: { stream_detail?: { name: string; state: { bytes: number; last_seq: number } }[] }[];
  };
  return accounts
    .flatMap(({ stream_detail: streams = [] }) => streams)
    .map(({ name, state }) => ({ name, bytes: state.bytes, lastSequence: state.last_seq }));
}

const lastSequences = (streams: readonly StoredStream[]): number =>
  streams.reduce((sum, { lastSequence }) => sum + lastSequence, 0);

const megabytes = (bytes: number): string => `${(bytes / 1_000_000).toFixed(1)} MB`;
const kilobytes = (bytes: number): string => `${(bytes / 1_000).toFixed(1)} kB`;

export function printSizing(result: SizingResult): void {
  const { engine, tasks, files, memory, storedBytesPerTask } = result;
  print(`${engine}: ${tasks} tasks at once of ${result.turnsPerTask} turns each, in ${result.seconds.toFixed(0)} s`);
  for (const [name, { atRest, atMost, after }] of Object.entries(memory))
    print(`  ${name}: ${megabytes(atRest)} at rest, at most ${megabytes(atMost)}, ${megabytes(after)} afterwards`);
  const stored = Object.entries(storedBytesPerTask).filter(([, bytes]) => bytes > 0);
  const sum = stored.reduce((total, [, bytes]) => total + bytes, 0);
  print(
    `  kept in JetStream, a task: ${kilobytes(sum)} (${stored.map(([name, bytes]) => `${name} ${kilobytes(bytes)}`).join(', ')})`,
  );
  print(`  messages that were stored, a task: ${Math.round(result.storedMessagesPerTask)}`);
  print(
    `  data folder with a repository of ${files} files: ${megabytes(result.diskBytesOfRepository)}; more at work ${megabytes(result.diskBytesPerTaskAtWork)} a task, afterwards ${megabytes(result.diskBytesPerTaskAfter)}`,
  );
}

import { setTimeout as sleep } from 'node:timers/promises';
import { startTraceCollector, temporaryFolder, temporaryRepository } from '@coppice/testing';
import type { CollectedSpan, TemporaryRepository } from '@coppice/testing';
import { Stack } from '../support/stack.ts';
import { ByHand } from './by-hand.ts';
import type { RawEngine } from './by-hand.ts';
import { median, print } from './report.ts';

/**
 * Benchmark of the coding agent's loop. In each measured turn, the model answers at once and the only tool call runs
 * `true`. The turn is compared with a sandboxed `true` without Coppice. A separate run with traces measures each step,
 * since tracing takes time itself.
 */
export type AgentBenchSettings = {
  engines: RawEngine[];
  rounds: number;
  turns: number;
  /** Number of turns of a long task, which shows whether later turns take longer. 0 skips the task. */
  growthTurns: number;
};

export type AgentBenchResult = {
  engine: RawEngine;
  turns: number;
  rounds: number;
  /** Medians over all turns. */
  coppiceMs: number;
  byHandMs: number;
  ratio: number;
  /** Milliseconds per turn by step. */
  steps: Record<string, number>;
  /** Milliseconds per turn, by the number of earlier turns in the task. */
  byTurn: Record<string, number>;
};

/** Reported turns of the long task. Each figure is the median of the turn and its neighbours, to hide outliers. */
const shownTurns = [10, 100] as const;
const neighbours = 8;
const exportMs = 2_000;

export async function benchAgent(settings: AgentBenchSettings): Promise<AgentBenchResult[]> {
  const results: AgentBenchResult[] = [];
  for (const engine of settings.engines) results.push(await benchEngine(engine, settings));
  return results;
}

async function benchEngine(engine: RawEngine, settings: AgentBenchSettings): Promise<AgentBenchResult> {
  const { rounds, turns, growthTurns } = settings;
  const script = scriptOf({ short: turns, long: growthTurns + neighbours });
  const longTurns = growthTurns === 0 ? [] : [...shownTurns.filter((turn) => turn < growthTurns), growthTurns];
  await using repository = await temporaryRepository();
  await using folder = await temporaryFolder('by-hand');
  const byHand = await ByHand.in(folder.path, { engine, repository: repository.path });
  const [ours, theirs]: [number[], number[]] = [[], []];
  let long: number[] = [];
  {
    await using stack = await Stack.start({ engine, script, environment: { COPPICE_LOST_AFTER_MS: '15000' } });
    await runAgent(stack, repository, 'short');
    await byHand.turn();
    for (let round = 0; round < rounds; round++) {
      const inRound = await runAgent(stack, repository, 'short');
      const byHandInRound: number[] = [];
      for (let turn = 0; turn < turns; turn++) byHandInRound.push(await byHand.turn());
      ours.push(...inRound);
      theirs.push(...byHandInRound);
      print(
        `${engine}, round ${round + 1} of ${rounds}: ${median(inRound).toFixed(1)} ms a turn, by hand ${median(byHandInRound).toFixed(1)} ms`,
      );
    }
    if (growthTurns > 0) {
      print(`${engine}: one task of ${growthTurns + neighbours} turns, for what a turn costs late in a task`);
      long = await runAgent(stack, repository, 'long');
    }
  }
  print(`${engine}: two tasks of ${turns} turns while traced, for where the time goes`);
  const [coppiceMs, byHandMs] = [median(ours), median(theirs)];
  const around = (turn: number) => median(long.slice(Math.max(0, turn - neighbours), turn + neighbours));
  return {
    engine,
    turns,
    rounds,
    coppiceMs,
    byHandMs,
    ratio: coppiceMs / byHandMs,
    steps: await stepsOf(engine, repository, script),
    byTurn: Object.fromEntries(longTurns.map((turn) => [turn, around(turn)])),
  };
}

/** Each call is different, because an agent that repeats a call gets a warning. */
function scriptOf(lengths: Record<string, number>): string {
  const rules = Object.entries(lengths).map(([word, length]) => ({
    when: { contains: `the ${word} task` },
    turns: [
      ...Array.from({ length }, (_, turn) => ({
        toolCalls: [{ name: 'run', arguments: { command: `true ${turn}` } }],
      })),
      { toolCalls: [{ name: 'finish', arguments: { summary: 'Nothing was to be done.' } }] },
    ],
  }));
  return JSON.stringify({ rules });
}

/** @returns milliseconds from each answer of the model until its next answer */
async function runAgent(stack: Stack, repository: TemporaryRepository, word: string): Promise<number[]> {
  const { runId } = await stack.submit({
    repository: repository.path,
    baseBranch: 'main',
    tasks: [
      {
        name: word,
        description: 'Do nothing often',
        prompt: `Do the ${word} task.`,
        agent: { kind: 'loop', turns: 1_000 },
        model: stack.model,
        verify: false,
      },
    ],
  });
  const run = await stack.ended(runId, 600_000);
  if (run.state !== 'succeeded') throw new Error(`the task failed: ${JSON.stringify(run.tasks)}`);
  const answered = (await stack.events(runId))
    .filter((event) => event.type === 'coppice.task-turn')
    .map(({ time }) => Date.parse(time));
  return answered.slice(1).map((at, index) => at - (answered[index] ?? Number.NaN));
}

/** Measures a turn's time in the gateway and in container-service. The rest is decisions, storage and the bus. */
async function stepsOf(engine: RawEngine, repository: TemporaryRepository, script: string) {
  await using collector = await startTraceCollector();
  let turnMs: number;
  {
    const environment = { COPPICE_LOST_AFTER_MS: '15000', ...collector.environment };
    await using stack = await Stack.start({ engine, script, environment });
    await runAgent(stack, repository, 'short');
    turnMs = median(await runAgent(stack, repository, 'short'));
    await sleep(exportMs);
  }
  const ofLastTask = (name: string) => {
    const spans = collector.spans.filter((span) => span.name === `process coppice.cmd.${name}`);
    return spans.slice(spans.length / 2).toSorted((one, other) => one.startedAtMs - other.startedAtMs);
  };
  const middle = (spans: CollectedSpan[]) => median(spans.map(({ durationMs }) => durationMs));
  const gateway = middle(ofLastTask('llm-gateway.*.turn'));
  // Skips the task's first call, which reads the repository's instructions.
  const tool = middle(ofLastTask('container-service.*.tools').slice(1));
  return { 'model turn': gateway, tool, orchestration: turnMs - gateway - tool };
}

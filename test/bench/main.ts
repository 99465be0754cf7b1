import { parseArgs } from 'node:util';
import { benchAgent } from './agent.ts';
import type { RawEngine } from './by-hand.ts';
import { print, shares, writeResults } from './report.ts';
import { benchTask } from './task.ts';
import { benchTelemetry } from './telemetry.ts';

/** `npm run bench -- task`, `agent` and `telemetry`; see the usage below. */
const usage = `usage: npm run bench -- task [--engine bubblewrap|docker] [--rounds 10] [--files 200] [--json FILE]
       npm run bench -- agent [--engine bubblewrap|docker] [--rounds 5] [--turns 30] [--json FILE]
       npm run bench -- telemetry [--engine bubblewrap|docker] [--rounds 10] [--files 200] [--json FILE]
`;
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    engine: { type: 'string', multiple: true, default: ['bubblewrap', 'docker'] },
    rounds: { type: 'string' },
    files: { type: 'string', default: '200' },
    turns: { type: 'string', default: '30' },
    json: { type: 'string' },
  },
});
const engines = values.engine as RawEngine[];
const benches: Record<string, () => Promise<unknown>> = { task, agent, telemetry };
const bench = benches[positionals[0] ?? ''];
if (bench === undefined) {
  process.stderr.write(usage);
  process.exit(2);
}
const results = await bench();
if (values.json !== undefined) await writeResults(values.json, results);

async function task() {
  const measured = await benchTask({ engines, rounds: Number(values.rounds ?? 10), files: Number(values.files) });
  for (const result of measured) {
    print('');
    print(
      `${result.engine}: ratio ${result.ratio.toFixed(2)} (aim: below 1.3); ${Math.round(result.coppiceMs)} ms against ${Math.round(result.byHandMs)} ms by hand, medians of ${result.rounds}`,
    );
    print(`  where it goes: ${shares(result.steps)}`);
    print(`  by hand: ${shares(result.byHandSteps)}`);
    print(
      `  by hand in folders marked as Coppice's: ${Math.round(result.markedByHandMs)} ms, ratio ${result.markedRatio.toFixed(2)}; longer than that: ${shares(result.excess, result.coppiceMs)}`,
    );
    print(`  messages to the server: ${Math.round(result.messagesPerTask)} a task`);
    print(
      `  tasks a second: ${Object.entries(result.tasksPerSecond)
        .map(([atOnce, value]) => `${atOnce} at once ${value.toFixed(2)}`)
        .join(', ')}`,
    );
  }
  return measured;
}

async function agent() {
  const measured = await benchAgent({ engines, rounds: Number(values.rounds ?? 5), turns: Number(values.turns) });
  for (const result of measured) {
    print('');
    print(
      `${result.engine}: ${result.coppiceMs.toFixed(1)} ms a turn against ${result.byHandMs.toFixed(1)} ms by hand, ratio ${result.ratio.toFixed(2)}; medians of ${result.rounds} times ${result.turns} turns`,
    );
    print(`  where it goes, while traced: ${shares(result.steps)}`);
    print(
      `  by what went before: ${Object.entries(result.byTurn)
        .map(([turn, value]) => `turn ${turn} ${value.toFixed(1)} ms`)
        .join(', ')}`,
    );
  }
  return measured;
}

async function telemetry() {
  const [engine = 'bubblewrap'] = engines;
  const measured = await benchTelemetry({
    engine,
    rounds: Number(values.rounds ?? 10),
    files: Number(values.files),
  });
  print('');
  for (const [variant, ratio] of Object.entries(measured.ratios)) {
    const { taskMs, tasksPerSecond, cpuMsPerTask } = measured.figures[variant as keyof typeof measured.figures];
    print(
      `${variant}: time of a task ${ratio.taskMs.toFixed(2)} (${Math.round(taskMs)} ms), processor time of the services ${ratio.cpuMsPerTask.toFixed(2)} (${Math.round(cpuMsPerTask)} ms a task), tasks a second ${ratio.tasksPerSecond.toFixed(2)} (${tasksPerSecond.toFixed(2)})`,
    );
  }
  print(`ratios to off, medians of ${measured.rounds} rounds on ${engine}; ${measured.spansPerTask} spans a task`);
  return measured;
}

import { parseArgs } from 'node:util';
import { benchAgent } from './agent.ts';
import type { RawEngine } from './by-hand.ts';
import { benchGateway, gatewayReport } from './gateway.ts';
import { print, shares, writeResults } from './report.ts';
import { benchSizing, printSizing } from './sizing.ts';
import { benchTask } from './task.ts';
import { benchTelemetry } from './telemetry.ts';

const usage = `usage: npm run bench -- task [--engine bubblewrap|docker] [--rounds 10] [--files 200] [--json FILE]
       npm run bench -- agent [--engine bubblewrap|docker] [--rounds 5] [--turns 30] [--growth-turns 200] [--json FILE]
       npm run bench -- telemetry [--engine bubblewrap|docker] [--rounds 10] [--files 200] [--json FILE]
       npm run bench -- gateway [--rounds 8] [--streams 20000] [--against FOLDER] [--json FILE]
       npm run bench -- sizing [--engine bubblewrap|docker] [--tasks 32] [--files 200] [--json FILE]

--growth-turns: number of turns of a long task, which shows whether later turns take longer; 0 skips it
--streams: number of streams after which the gateway's memory is measured; 0 skips this
--against: root folder of another checkout, set up with --tests, whose gateway is measured in the same rounds
`;
/** Lower than 1,000, the maximum for a script, since a script also has turns that aren't measured. */
const turnsMax = 900;
/** Maximum concurrency of a run. */
const tasksMax = 64;
const { values, positionals } = readArguments();
if (values.help) {
  process.stdout.write(usage);
  process.exit(0);
}
const rounds = values.rounds === undefined ? undefined : countOf('rounds', values.rounds, 1);
const [files, turns] = [countOf('files', values.files, 1), countOf('turns', values.turns, 2, turnsMax)];
const growthTurns = countOf('growth-turns', values['growth-turns'], 0, turnsMax);
const engines = values.engine.map((name): RawEngine => {
  if (name !== 'bubblewrap' && name !== 'docker') refuse(`--engine: expected bubblewrap or docker, got ${name}`);
  return name;
});
const streams = countOf('streams', values.streams, 0);
const benches: Record<string, () => Promise<unknown>> = { task, agent, telemetry, gateway, sizing };
const bench = benches[positionals[0] ?? ''];
if (bench === undefined || positionals.length > 1)
  refuse(`expected one of ${Object.keys(benches).join(', ')}, got ${positionals.join(' ') || 'nothing'}`);
const results = await bench();
if (values.json !== undefined) await writeResults(values.json, results);

async function task() {
  const measured = await benchTask({ engines, rounds: rounds ?? 10, files });
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
  const measured = await benchAgent({ engines, rounds: rounds ?? 5, turns, growthTurns });
  for (const result of measured) {
    print('');
    print(
      `${result.engine}: ${result.coppiceMs.toFixed(1)} ms a turn against ${result.byHandMs.toFixed(1)} ms by hand, ratio ${result.ratio.toFixed(2)}; medians of ${result.rounds} times ${result.turns} turns`,
    );
    print(`  where it goes, while traced: ${shares(result.steps)}`);
    if (growthTurns === 0) continue;
    print(
      `  by number of turns before: ${Object.entries(result.byTurn)
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
    rounds: rounds ?? 10,
    files,
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

async function sizing() {
  const [engine = 'bubblewrap'] = engines;
  const measured = await benchSizing({ engine, files, tasks: countOf('tasks', values.tasks, 1, tasksMax) });
  printSizing(measured);
  return measured;
}

async function gateway() {
  const measured = await benchGateway({ rounds: rounds ?? 8, streams, against: values.against ?? null });
  print('');
  for (const line of gatewayReport(measured)) print(line);
  return measured;
}

function readArguments() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        help: { type: 'boolean', short: 'h', default: false },
        engine: { type: 'string', multiple: true, default: ['bubblewrap', 'docker'] },
        rounds: { type: 'string' },
        files: { type: 'string', default: '200' },
        turns: { type: 'string', default: '30' },
        tasks: { type: 'string', default: '32' },
        'growth-turns': { type: 'string', default: '200' },
        streams: { type: 'string', default: '20000' },
        against: { type: 'string' },
        json: { type: 'string' },
      },
    });
  } catch (error) {
    // For an invalid option, parseArgs throws a TypeError whose message is meant for the user.
    return refuse(error instanceof Error ? error.message : String(error));
  }
}

function countOf(option: string, text: string, least: number, most = 100_000): number {
  const value = Number(text);
  if (text === '' || !Number.isInteger(value) || value < least || value > most)
    refuse(`--${option}: expected a whole number from ${least} to ${most}, got ${JSON.stringify(text)}`);
  return value;
}

function refuse(message: string): never {
  process.stderr.write(`${message}\n${usage}`);
  process.exit(2);
}

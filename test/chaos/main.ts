/** Program of `npm run chaos`. docs/chaos.md describes it. */
import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import setUpTestEnvironment from '../../setup/test-environment.ts';
import { whyWithout } from '../support/engines.ts';
import { faultKinds } from './faults.ts';
import type { FaultKind } from './faults.ts';
import { faultsFound, Interrupted, runChaos } from './run.ts';
import type { ChaosResult } from './run.ts';
import type { Engine } from './system.ts';

const usage = `usage: npm run chaos -- [--tasks 40] [--seed 1] [--minutes 3] [--engine bubblewrap|docker] [--fault KIND …] [--json FILE] [--logs FILE]

--tasks    number of tasks; they are submitted over the whole time, in runs of up to ten
--seed     the same seed makes the same tasks and faults
--minutes  time during which faults are applied; afterwards all runs have six minutes to end
--fault    applies only these kinds: ${faultKinds.join(', ')}
--json     writes the result to a file
--logs     writes the services' logs to a file

Exit code 0: every figure that must be zero is zero. 1: one is not, or the run itself failed. 2: wrong arguments, or the engine doesn't work
on this machine. 130: interrupted.
`;

const { values } = readArguments();
if (values.help) {
  process.stdout.write(usage);
  process.exit(0);
}
setUpTestEnvironment();
const engine = engineOf(values.engine);
const why = await whyWithout(engine);
if (why !== null) refuse(`--engine ${engine}: ${why}`);
const interruption = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => interruption.abort(new Interrupted()));
const startedAt = Date.now();
const result = await runChaos({
  tasks: numberOf('tasks', values.tasks, { min: 1, max: 1_000 }),
  seed: numberOf('seed', values.seed, { min: 0, max: 2 ** 31 }),
  minutes: numberOf('minutes', values.minutes, { min: 0.1, max: 600 }),
  engine,
  faults: values.fault === undefined ? faultKinds : values.fault.map(kindOf),
  logFile: values.logs ?? null,
  interruption: interruption.signal,
  say: (line) => process.stdout.write(`${((Date.now() - startedAt) / 1_000).toFixed(1).padStart(7)} s  ${line}\n`),
}).catch((error: unknown) => {
  if (!(error instanceof Interrupted)) throw error;
  process.stderr.write('interrupted; everything that was started has been removed\n');
  process.exit(130);
});
if (values.json !== undefined) await writeFile(values.json, `${JSON.stringify(result, null, 2)}\n`);
const found = faultsFound(result);
print(result, found);
process.exitCode = found.length === 0 ? 0 : 1;

function print(
  { tasks, model, leftovers, unexpectedExits, recovery, seconds, events }: ChaosResult,
  faults: readonly string[],
): void {
  const ended = Object.entries(tasks.ended).map(([state, count]) => `${count} ${state}`);
  const lines = [
    '',
    `tasks: ${tasks.planned} planned, ${ended.join(', ')}; ${seconds} s`,
    `tasks lost: ${tasks.lost.length}; landed twice: ${tasks.landedTwice.length}; with other content: ${tasks.wrongContent.length}`,
    `event faults: ${events.length}; services that ended by themselves: ${unexpectedExits.length}`,
    `model calls: ${model.sent} begun, ${model.stored} stored; finished ones paid twice: ${model.paidTwice.length}; begun again with unknown outcome: ${model.unknown}`,
    `left: ${Object.entries(leftovers)
      .map(([kind, left]) => `${left.length} ${kind}`)
      .join(', ')}`,
    'time to the next step of every task at work:',
    ...Object.entries(recovery)
      .filter(([, figures]) => figures.faults > 0)
      .map(
        ([kind, { faults: count, p50Ms, p99Ms }]) =>
          `  ${kind.padEnd(10)} ${count} times, p50 ${seconds1(p50Ms)}, p99 ${seconds1(p99Ms)}`,
      ),
    ...faults.map((fault) => `FAULT ${fault}`),
  ];
  process.stdout.write(`${lines.join('\n')}\n`);
}

function seconds1(ms: number | null): string {
  return ms === null ? '-' : `${(ms / 1_000).toFixed(1)} s`;
}

function readArguments() {
  try {
    return parseArgs({
      options: {
        help: { type: 'boolean', short: 'h', default: false },
        tasks: { type: 'string', default: '40' },
        seed: { type: 'string', default: '1' },
        minutes: { type: 'string', default: '3' },
        engine: { type: 'string', default: 'bubblewrap' },
        fault: { type: 'string', multiple: true },
        json: { type: 'string' },
        logs: { type: 'string' },
      },
    });
  } catch (error) {
    return refuse(error instanceof Error ? error.message : String(error));
  }
}

function numberOf(option: string, text: string, { min, max }: { min: number; max: number }): number {
  const value = Number(text);
  if (text === '' || !(value >= min && value <= max))
    refuse(`--${option}: expected a number from ${min} to ${max}, got ${JSON.stringify(text)}`);
  return value;
}

function engineOf(name: string): Engine {
  if (name !== 'docker' && name !== 'bubblewrap')
    refuse(`--engine: expected bubblewrap or docker, got ${JSON.stringify(name)}`);
  return name;
}

function kindOf(name: string): FaultKind {
  const kind = faultKinds.find((each) => each === name);
  return kind ?? refuse(`--fault: expected one of ${faultKinds.join(', ')}, got ${JSON.stringify(name)}`);
}

function refuse(message: string): never {
  process.stderr.write(`${message}\n${usage}`);
  process.exit(2);
}

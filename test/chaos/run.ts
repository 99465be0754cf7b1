/** Plays users and applies faults at the same time, and then runs all checks. */
import { writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually, temporaryRepository } from '@coppice/testing';
import { leftOfServices, leftOfTasks, locksLeft } from './check-leftovers.ts';
import type { Leftovers } from './check-leftovers.ts';
import { checkModel } from './check-model.ts';
import type { ModelFigures } from './check-model.ts';
import { checkLandings, eventFaults, lostTasks, readTasks } from './check-tasks.ts';
import type { Landings } from './check-tasks.ts';
import { applyFaults } from './faults.ts';
import type { AppliedFault, FaultKind } from './faults.ts';
import { baseFiles, planWaves, scriptOf } from './plan.ts';
import { randomFrom } from './random.ts';
import { recoveryByKind } from './recovery.ts';
import type { Recovery } from './recovery.ts';
import { ChaosSystem, lostAfterMs } from './system.ts';
import type { Engine } from './system.ts';
import { playUsers, storedEvents } from './users.ts';

export type ChaosOptions = {
  tasks: number;
  seed: number;
  minutes: number;
  engine: Engine;
  faults: readonly FaultKind[];
  /** File for the services' logs; null for none. */
  logFile: string | null;
  /** Aborts the run. `runChaos` then throws the signal's reason. */
  interruption?: AbortSignal;
  say: (line: string) => void;
};

export class Interrupted extends Error {}

export type ChaosResult = {
  options: Pick<ChaosOptions, 'tasks' | 'seed' | 'minutes' | 'engine' | 'faults'> & { lostAfterMs: number };
  seconds: number;
  tasks: { planned: number; ended: Record<string, number>; lost: string[] } & Landings;
  events: string[];
  model: ModelFigures;
  leftovers: Leftovers;
  /** One sentence for each exit of a service that no fault caused. */
  unexpectedExits: string[];
  faults: AppliedFault[];
  recovery: Record<FaultKind, Recovery>;
};

/** Time limit from the last fault until all tasks have ended. */
const settleMinutes = 6;
/** Time limit from the end of all tasks until background clean-up is done. */
const restMsMax = 60_000;

export async function runChaos(options: ChaosOptions): Promise<ChaosResult> {
  const { seed, minutes, engine, say } = options;
  const waves = planWaves({ tasks: options.tasks, minutes, random: randomFrom(seed) });
  const log: string[] = [];
  await using bare = await temporaryRepository({ files: baseFiles, bare: true });
  await using checkedOut = await temporaryRepository({ files: baseFiles });
  const repositories = { bare, 'checked-out': checkedOut };
  const system = await ChaosSystem.start({ engine, script: scriptOf(waves), log: (line) => log.push(line) });
  try {
    say(
      `the system runs on ${engine}; seed ${seed}, ${options.tasks} tasks in ${waves.length} runs, faults for ${minutes} minutes`,
    );
    if (system.disk === null) say('left out: disk-full, since this user may not mount a file system');
    const kinds = options.faults.filter((kind) => kind !== 'disk-full' || system.disk !== null);
    const startedAt = Date.now();
    const signal = AbortSignal.timeout((minutes + settleMinutes) * 60_000);
    const [faults] = await unlessAborted(
      options.interruption,
      Promise.all([
        applyFaults(system, { minutes, random: randomFrom(seed + 1), kinds, say }),
        playUsers(waves, { system, repositories, signal, say }),
      ]),
    );
    const seconds = Math.round((Date.now() - startedAt) / 1_000);
    say(`everything has ended, or the time is over, after ${seconds} s; checking for leftovers`);

    // Before the restart, since services remove old lock files when they start.
    const locks = await settled(async () => ({ locks: locksLeft(system, [bare, checkedOut]) }));
    // Services remove leftovers when they start, and otherwise only every 15 minutes.
    await Promise.all(system.processes.map((each) => each.restart()));
    const views = await readTasks(system, waves);
    const events = await storedEvents(system);
    const landings = await checkLandings(waves, views, repositories);
    const ofTasks = await settled(() => leftOfTasks(system));
    const model = await checkModel(system);
    await system.stopServices();
    await sleep(1_000);
    const ended: Record<string, number> = {};
    for (const { state } of views.values()) ended[state] = (ended[state] ?? 0) + 1;
    return {
      options: { tasks: options.tasks, seed, minutes, engine, faults: kinds, lostAfterMs },
      seconds,
      tasks: { planned: waves.flatMap((wave) => wave.tasks).length, ended, lost: lostTasks(waves, views), ...landings },
      events: eventFaults(events, views),
      model,
      leftovers: { ...ofTasks, ...locks, ...leftOfServices(system) },
      unexpectedExits: system.unexpectedExits,
      faults,
      recovery: recoveryByKind(faults, events),
    };
  } finally {
    await system.stopServices();
    if (options.logFile !== null) await writeFile(options.logFile, `${log.join('\n')}\n`);
    await system.remove();
  }
}

async function unlessAborted<Result>(signal: AbortSignal | undefined, work: Promise<Result>): Promise<Result> {
  if (signal === undefined) return work;
  const aborted = Promise.withResolvers<never>();
  const abort = (): void => aborted.reject(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  if (signal.aborted) abort();
  return Promise.race([work, aborted.promise]);
}

/** Repeats a check until it finds nothing or the time is over. */
async function settled<Found extends Record<string, string[]>>(look: () => Promise<Found>): Promise<Found> {
  let last = await look();
  await eventually(
    async () => {
      last = await look();
      return Object.values(last).every((each) => each.length === 0);
    },
    { timeoutMs: restMsMax, intervalMs: 1_000 },
    // A timeout isn't an error of the run, since the last findings are the result.
  ).catch(() => undefined);
  return last;
}

export function faultsFound(result: ChaosResult): string[] {
  const figures: [string, readonly string[]][] = [
    ['tasks lost', result.tasks.lost],
    ['landed twice', result.tasks.landedTwice],
    ['other content', result.tasks.wrongContent],
    ['event faults', result.events],
    ['model calls paid twice', result.model.paidTwice],
    ['services that ended by themselves', result.unexpectedExits],
    ...Object.entries(result.leftovers).map(([kind, left]): [string, readonly string[]] => [`left: ${kind}`, left]),
  ];
  return figures.flatMap(([name, found]) => found.map((each) => `${name}: ${each}`));
}

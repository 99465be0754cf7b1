/** Applies the faults of a chaos run. The seed determines their kinds, target processes, durations and times. */
import { setTimeout as sleep } from 'node:timers/promises';
import { traces, traceShows } from './ambush.ts';
import { serviceNames } from '@coppice/contracts';
import type { ServiceName } from '@coppice/contracts';
import type { Random } from './random.ts';
import { lostAfterMs } from './system.ts';
import type { ChaosSystem, ServiceProcess } from './system.ts';

export const faultKinds = [
  'none',
  'kill',
  'ambush',
  'freeze',
  'nats-kill',
  'reset',
  'stall',
  'disk-full',
  'everything',
] as const;
export type FaultKind = (typeof faultKinds)[number];

/** Times are milliseconds since the epoch. */
export type AppliedFault = {
  kind: FaultKind;
  target: string;
  startedAt: number;
  endedAt: number;
  /** False for an ambush whose trace didn't appear. */
  struck: boolean;
};

type Fault = { kind: FaultKind; service: ServiceName | null };

/** The faults of one round, applied in random order. `none` is no fault, the baseline for recovery times. */
const deck: readonly Fault[] = [
  ...serviceNames.map((service): Fault => ({ kind: 'kill', service })),
  ...traces.flatMap(({ service }): Fault[] => [
    { kind: 'ambush', service },
    { kind: 'ambush', service },
  ]),
  ...serviceNames.map((service): Fault => ({ kind: 'freeze', service })),
  { kind: 'nats-kill', service: null },
  { kind: 'nats-kill', service: null },
  { kind: 'reset', service: null },
  ...serviceNames.map((service): Fault => ({ kind: 'stall', service })),
  { kind: 'stall', service: null },
  { kind: 'disk-full', service: null },
  { kind: 'everything', service: null },
  { kind: 'none', service: null },
  { kind: 'none', service: null },
];
const pauseMs = { min: 2_000, max: 6_000 };
const downMs = { min: 0, max: 3_000 };
/** Duration of a freeze, stall or outage. Longer than `lostAfterMs`, so that the processes count as lost. */
const outageMs = { min: lostAfterMs * 1.25, max: lostAfterMs * 2.5 };
/** Time limit for an ambush's trace to appear. */
const ambushMsMax = 10_000;
const ambushDelayMsMax = 4;
const diskFullMs = { min: 1_000, max: 5_000 };

/**
 * Applies one fault after the other until the time is over. Long faults overlap with the next ones.
 * @returns the applied faults, after all have ended
 */
export async function applyFaults(
  system: ChaosSystem,
  options: { minutes: number; random: Random; kinds: readonly FaultKind[]; say: (line: string) => void },
): Promise<AppliedFault[]> {
  const { random, kinds, say } = options;
  const end = Date.now() + options.minutes * 60_000;
  const applied: AppliedFault[] = [];
  const underWay = new Set<Promise<void>>();
  let left: Fault[] = [];
  while (Date.now() < end) {
    await sleep(random.integer(pauseMs.min, pauseMs.max));
    if (left.length === 0) left = random.shuffle(deck.filter(({ kind }) => kinds.includes(kind)));
    const fault = left.pop();
    if (fault === undefined) break;
    const targets = targetsOf(fault, system, random);
    const startedAt = Date.now();
    const target =
      targets.length <= 2
        ? targets.map(({ name }) => name).join(', ')
        : fault.kind === 'nats-kill'
          ? 'nats-server'
          : 'all';
    say(`fault: ${fault.kind} (${target})`);
    const work = apply(fault.kind, targets, system, random)
      .then((struck) => void applied.push({ kind: fault.kind, target, startedAt, endedAt: Date.now(), struck }))
      .finally(() => underWay.delete(work));
    underWay.add(work);
  }
  await Promise.all(underWay);
  return applied.toSorted((one, other) => one.startedAt - other.startedAt);
}

/** Returns one process of the fault's service, or both for an ambush, or all processes if there is no service. */
function targetsOf({ kind, service }: Fault, { processes }: ChaosSystem, random: Random): readonly ServiceProcess[] {
  if (service === null) return processes;
  const ofService = processes.filter((each) => each.service === service);
  return kind === 'ambush' ? ofService : [random.pick(ofService)];
}

/** @returns false if the fault wasn't applied because no trace appeared */
async function apply(
  kind: FaultKind,
  targets: readonly ServiceProcess[],
  system: ChaosSystem,
  random: Random,
): Promise<boolean> {
  const lasting = random.integer(outageMs.min, outageMs.max);
  switch (kind) {
    case 'none':
      return true;
    case 'kill':
      await Promise.all(targets.map((each) => kill(each, random)));
      return true;
    case 'ambush': {
      const trace = traces.find(({ service }) => service === targets[0]?.service);
      if (trace === undefined || !(await traceShows(trace, system, ambushMsMax))) return false;
      await sleep(random.integer(0, ambushDelayMsMax));
      await Promise.all(targets.map((each) => kill(each, random)));
      return true;
    }
    case 'freeze':
      for (const each of targets) each.freeze();
      await sleep(lasting);
      for (const each of targets) each.thaw();
      return true;
    case 'nats-kill':
      await restartNats(system, random.pick([0, lasting]));
      return true;
    case 'reset':
      for (const { proxy } of targets) {
        proxy.cut();
        proxy.heal();
      }
      return true;
    case 'stall':
      for (const { proxy } of targets) proxy.stall(random.pick([undefined, 'to-server', 'to-client']));
      await sleep(lasting);
      for (const { proxy } of targets) proxy.heal();
      return true;
    case 'disk-full':
      await system.disk?.fill();
      await sleep(random.integer(diskFullMs.min, diskFullMs.max));
      await system.disk?.free();
      return true;
    case 'everything':
      await Promise.all([
        restartNats(system, random.integer(downMs.min, downMs.max)),
        ...targets.map((each) => kill(each, random)),
      ]);
      return true;
    default:
      throw new Error(`no such fault: ${String(kind satisfies never)}`);
  }
}

const kill = (target: ServiceProcess, random: Random): Promise<void> =>
  target.kill(random.integer(downMs.min, downMs.max), { children: random.pick([true, false]) });

/** The latest restart of nats-server. The next one waits for it, since two faults may overlap. */
let natsRestart: Promise<void> = Promise.resolve();

function restartNats({ nats }: ChaosSystem, waitMs: number): Promise<void> {
  natsRestart = natsRestart.then(async () => {
    await nats.kill();
    await sleep(waitMs);
    await nats.restart();
  });
  return natsRestart;
}

/**
 * Starts and stops a service. The start connects to NATS, registers the process as a member, and starts the work. The
 * stop undoes these steps in reverse order. `runService` starts one service in a process. The embedded stack starts
 * several.
 *
 * Invariants:
 * 1. The work stops before the membership ends. Otherwise another process would take over work in progress. The
 *    membership ends before the connection is closed.
 * 2. A failed or aborted start undoes its completed steps before it throws. If the NATS server becomes unreachable
 *    during the start, the start waits for the server, and the log says in which phase.
 * 3. `stop` resolves within `stopMsMax` and never throws. A second call waits for the first one.
 */
import type { Bus, Membership } from '@coppice/bus';
import { joinMembers, unreachable, untilAnswered } from '@coppice/bus';
import { createLogger } from '@coppice/telemetry';
import type { Logger } from '@coppice/telemetry';
import type { BusConnection } from './bus-connection.ts';
import type { Clock } from './clock.ts';
import { systemClock } from './clock.ts';
import { connectPatiently } from './connect.ts';
import { askDurability } from './durability.ts';

export type ServiceContext = {
  name: string;
  version: string;
  node: string;
  bus: Bus;
  member: Membership;
  clock: Clock;
  log: Logger;
};

/** The service's own work. `stop` resolves when the commands in progress have ended or are back in their queue. */
export type RunningWork = { stop(): Promise<void> };

export type ServiceSettings = {
  name: string;
  version: string;
  node: string;
  connection: BusConnection;
  start(context: ServiceContext): Promise<RunningWork>;
  /** If true, the start creates the streams and buckets. If false (default), it waits until they exist. */
  makesResources?: boolean;
  /** Default: 1. */
  replicas?: number;
  /** Used to read the NATS server's durability settings. */
  monitoringUrl?: string;
  /** Time limit in milliseconds for each phase of the start that waits for the NATS server. Default: 60 s. */
  startWaitMs?: number;
  /** Default: `serviceLimits.stopMsMax`. */
  stopMsMax?: number;
  clock?: Clock;
  /** Aborts the start. Has no effect on a started service. */
  signal?: AbortSignal;
};

export type StartedService = {
  bus: Bus;
  stop(): Promise<void>;
  /** Resolves with the reason if the connection is lost permanently. The caller must then stop the service. */
  lost: Promise<Error>;
};

export const serviceLimits = {
  startWaitMs: 60_000,
  /**
   * Time limit in milliseconds of a stop. Longer than the 20 s in which commands in progress may end. A supervisor must
   * wait even longer before it kills the process.
   */
  stopMsMax: 30_000,
} as const;

export async function startService(settings: ServiceSettings): Promise<StartedService> {
  const { name, version, node, clock = systemClock, replicas = 1 } = settings;
  const signal = settings.signal ?? new AbortController().signal;
  const log = createLogger(name);
  const undo = new Undo(log, settings.stopMsMax ?? serviceLimits.stopMsMax);
  try {
    const bus = await connectPatiently(
      { ...settings.connection, name: `${name}@${node}` },
      { waitMs: settings.startWaitMs ?? serviceLimits.startWaitMs, signal, log },
    );
    undo.add('connection', () => bus.close());
    const waitMs = settings.startWaitMs ?? serviceLimits.startWaitMs;
    const waiting = (what: string) => ({ forMs: waitMs, for: what });
    await untilAnswered(haveResources(bus, settings, { waitMs, signal }), signal, waiting('the streams and buckets'));
    const durability = await askDurability(settings.monitoringUrl, replicas);
    log.info({ server: bus.serverVersion, durability }, `NATS ${bus.serverVersion}: ${durability.promise}`);
    const join = () => joinMembers(bus, { service: name, node });
    const member = await untilAnswered(join, signal, waiting('its membership'));
    undo.add('membership', () => member.leave());
    signal.throwIfAborted();
    const work = await settings.start({ name, version, node, bus, member, clock, log });
    undo.add('work', () => work.stop());
    signal.throwIfAborted();
    log.info({ version, node, member: member.id }, 'started');
    return { bus, stop: () => undo.run(), lost: lossOf(bus, undo) };
  } catch (error) {
    await undo.run();
    throw unreachable(error, `${name} could not start`);
  }
}

/**
 * Creates the streams and buckets, or waits until they exist. Only one service creates them, so only one needs the
 * permission.
 */
function haveResources(
  bus: Bus,
  { makesResources = false, replicas = 1 }: ServiceSettings,
  { waitMs, signal }: { waitMs: number; signal: AbortSignal },
): () => Promise<void> {
  if (makesResources) return () => bus.ensureResources({ replicas });
  const endsAtMs = performance.now() + waitMs;
  return () => bus.awaitResources({ waitMs: Math.max(0, endsAtMs - performance.now()), signal });
}

function lossOf(bus: Bus, undo: Undo): Promise<Error> {
  const { promise, resolve } = Promise.withResolvers<Error>();
  const watch = async (): Promise<void> => {
    const error = await bus.closed;
    if (!undo.isRunning) resolve(error ?? new Error('the connection to NATS was closed'));
  };
  void watch();
  return promise;
}

/** Cleanup steps, which run once and in reverse order. One time limit covers all steps. */
class Undo {
  readonly #steps: { name: string; run: () => Promise<void> }[] = [];
  readonly #log: Logger;
  readonly #msMax: number;
  #running: Promise<void> | null = null;

  constructor(log: Logger, msMax: number) {
    this.#log = log;
    this.#msMax = msMax;
  }

  get isRunning(): boolean {
    return this.#running !== null;
  }

  add(name: string, run: () => Promise<void>): void {
    this.#steps.push({ name, run });
  }

  run(): Promise<void> {
    this.#running ??= this.#runAll();
    return this.#running;
  }

  async #runAll(): Promise<void> {
    const { promise: tooLong, resolve } = Promise.withResolvers<'too long'>();
    const timer = setTimeout(() => resolve('too long'), this.#msMax);
    try {
      for (const step of this.#steps.toReversed()) {
        const result = await Promise.race([this.#attempt(step), tooLong]);
        if (result !== 'too long') continue;
        this.#log.error(
          { step: step.name },
          `not stopped within ${this.#msMax} ms; other processes take over the remaining work`,
        );
        return;
      }
    } finally {
      clearTimeout(timer);
    }
  }

  async #attempt(step: { name: string; run: () => Promise<void> }): Promise<void> {
    try {
      await step.run();
    } catch (error) {
      this.#log.warn({ err: error, step: step.name }, 'a step of the stop failed');
    }
  }
}

import { Bus } from '@coppice/bus';
import { startActorHost } from '@coppice/durable-actor';
import type { CrashPoint } from '@coppice/durable-actor';
import { landingActor, runActor, setupActor, taskActor } from '../actors.ts';

/**
 * An engine in a process of its own that handles a number of messages at once, stops each at a point, and kills itself when all are there: SIGKILL, so nothing of
 * it can clean up.
 * Arguments: server address, kind of actor, point, number of messages, the time in milliseconds since 1970.
 */
const [servers, kind, point, count, nowMs] = process.argv.slice(2) as [string, string, CrashPoint, string, string];

/** Messages of the engine before come again while these are handled. */
const concurrencySpare = 100;
const never = new Promise<void>(() => {});
let stopped = 0;

const bus = await Bus.connect({ servers, name: 'crash-engine' });
await startActorHost({
  bus,
  actors: [runActor, taskActor, landingActor, setupActor].filter((actor) => actor.kind === kind),
  clock: { now: () => new Date(Number(nowMs)) },
  concurrency: Number(count) + concurrencySpare,
  limits: { ackWaitMs: 1_000, deliveriesMax: 1_000, sweepIntervalMs: 600_000 },
  hooks: {
    reach: (reached) => {
      if (reached !== point) return undefined;
      stopped += 1;
      if (stopped === Number(count)) process.kill(process.pid, 'SIGKILL');
      return never;
    },
  },
});

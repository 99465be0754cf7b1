import { Bus } from '@coppice/bus';
import { startActorHost } from '@coppice/durable-actor';
import type { CrashPoint } from '@coppice/durable-actor';
import { landingActor, runActor, setupActor, taskActor } from '../actors.ts';

/**
 * An engine in its own process that handles a number of messages at once, holds each at a crash point, and kills itself when all have reached that point. It
 * uses SIGKILL, so no cleanup runs.
 * Arguments: server address, kind of actor, point, number of messages, the time in milliseconds since 1970.
 */
const [servers, kind, point, count, nowMs] = process.argv.slice(2) as [string, string, CrashPoint, string, string];

/** Extra slots, since messages of the previous engine are redelivered at the same time. */
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

import { Bus } from '@coppice/bus';
import { startActorHost } from '@coppice/durable-actor';
import type { CrashPoint } from '@coppice/durable-actor';
import { landingActor, runActor, setupActor, taskActor } from '../actors.ts';

/**
 * An engine in its own process. It handles a number of messages at once and stops each at a crash point. When all have
 * reached that point, it kills itself with SIGKILL, so that no cleanup runs.
 *
 * Arguments: server address, kind of actor, crash point, number of messages, time in milliseconds since 1970.
 */
const [servers, kind, point, count, nowMs] = process.argv.slice(2) as [string, string, CrashPoint, string, string];

/** Extra slots for redelivered messages of the previous engine. */
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

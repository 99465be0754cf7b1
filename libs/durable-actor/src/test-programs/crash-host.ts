import { Bus } from '@coppice/bus';
import { startActorHost } from '../index.ts';
import type { CrashPoint, HostLimits } from '../index.ts';
import { desk, job } from '../test-support/machines.ts';

/**
 * A host in its own process that kills itself at a crash point. It uses SIGKILL, so no cleanup runs. Arguments:
 * 1. server address
 * 2. crash point, or `any` to count all points
 * 3. number of passes of the point after which the host kills itself
 * 4. limits as JSON
 * 5. maximum number of messages that are handled at once
 */
const [servers, point, occurrence, limits, concurrency] = process.argv.slice(2) as [
  string,
  CrashPoint | 'any',
  string,
  string,
  string,
];

let passed = 0;
const bus = await Bus.connect({ servers, name: 'crash-host' });
await startActorHost({
  bus,
  actors: [job, desk],
  // Some tests pass 1, so that no other message is in handling when the host dies.
  concurrency: Number(concurrency),
  limits: JSON.parse(limits) as Partial<HostLimits>,
  hooks: {
    reach: (reached) => {
      if (point !== 'any' && reached !== point) return;
      passed += 1;
      if (passed !== Number(occurrence)) return;
      process.kill(process.pid, 'SIGKILL');
      // Blocks until the signal arrives, so that no code after the crash point runs.
      for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
    },
  },
});
console.log('host started');

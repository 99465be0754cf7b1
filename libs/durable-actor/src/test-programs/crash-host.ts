import { Bus } from '@coppice/bus';
import { startActorHost } from '../index.ts';
import type { CrashPoint, HostLimits } from '../index.ts';
import { desk, job } from '../test-support/machines.ts';

/**
 * A host in a process of its own that kills itself at a named point: SIGKILL, so nothing of it can clean up.
 * Arguments: server address, point, which time it is passed (from 1), limits as JSON.
 */
const [servers, point, occurrence, limits] = process.argv.slice(2) as [string, CrashPoint, string, string];

let passed = 0;
const bus = await Bus.connect({ servers, name: 'crash-host' });
await startActorHost({
  bus,
  actors: [job, desk],
  // One after the other, so that nothing else is under way when it dies.
  concurrency: 1,
  limits: JSON.parse(limits) as Partial<HostLimits>,
  hooks: {
    reach: (reached) => {
      if (reached !== point) return;
      passed += 1;
      if (passed !== Number(occurrence)) return;
      process.kill(process.pid, 'SIGKILL');
      // The signal has no way to be late: nothing after this point may run.
      for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
    },
  },
});
console.log('host started');

import { Bus } from '@coppice/bus';
import { startActorHost } from '../index.ts';
import type { CrashPoint, HostLimits } from '../index.ts';
import { desk, job } from '../test-support/machines.ts';

/**
 * A host in a process of its own that kills itself at a named point: SIGKILL, so nothing of it can clean up.
 * Arguments: server address, point (`any` for all of them), which time it is passed (from 1), limits as JSON, handlings at once.
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
  // One after the other where nothing else may be under way when it dies.
  concurrency: Number(concurrency),
  limits: JSON.parse(limits) as Partial<HostLimits>,
  hooks: {
    reach: (reached) => {
      if (point !== 'any' && reached !== point) return;
      passed += 1;
      if (passed !== Number(occurrence)) return;
      process.kill(process.pid, 'SIGKILL');
      // The signal has no way to be late: nothing after this point may run.
      for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
    },
  },
});
console.log('host started');

import { existsSync } from 'node:fs';
import { serviceLimits } from '@coppice/service';
import type { Home } from './home.ts';
import { endLeftServer } from './nats-server.ts';
import { endProcess } from './process-identity.ts';
import { takeStackLock } from './stack-lock.ts';
import { removeStatus, runningStack } from './status.ts';

export type StopResult = 'stopped' | 'nothing-ran' | 'left-overs-ended';

/** The services stop at once, each within its time; then the server. */
const drainMsMax = serviceLimits.stopMsMax + 15_000;

/** Drains and stops the stack of this home; what a killed one left is ended, too. */
export async function stopStack(home: Home): Promise<StopResult> {
  const status = runningStack(home);
  const ended = status !== null && (await endProcess(status.process, drainMsMax));
  const left = await endLeftOvers(home);
  if (ended) return 'stopped';
  return left ? 'left-overs-ended' : 'nothing-ran';
}

/** Only under the lock: whoever holds it is a living stack, whose server isn't left over. */
async function endLeftOvers(home: Home): Promise<boolean> {
  if (!existsSync(home.lockFile)) return false;
  const lock = await takeStackLock(home);
  if (lock === undefined) return false;
  try {
    const left = await endLeftServer(home.natsFolder);
    removeStatus(home);
    return left !== null;
  } finally {
    lock.release();
  }
}

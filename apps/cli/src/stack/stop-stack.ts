import { existsSync } from 'node:fs';
import { serviceLimits } from '@coppice/service';
import type { Home } from './home.ts';
import { endLeftServer } from './nats-server.ts';
import { endProcess } from './process-identity.ts';
import { takeStackLock } from './stack-lock.ts';
import { readStatus, removeStatus, runningStack } from './status.ts';

export type StopResult = {
  /** True if a stack ran and was stopped. */
  stopped: boolean;
  /**
   * What a killed stack had left running and this call ended. `sandboxes` is the number of sandboxes with running
   * commands.
   */
  left: { server: boolean; sandboxes: number };
};

/** Ends the commands that still run in a killed stack's sandboxes. Returns the number of sandboxes. */
type EndSandboxes = (engine: string) => Promise<number>;

/** Time limit in milliseconds. All services stop at the same time, each within `stopMsMax`. Then the server stops. */
export const drainMsMax = serviceLimits.stopMsMax + 15_000;
const nothing = { server: false, sandboxes: 0 };

/**
 * Stops the stack of this home, and ends what a killed stack left running.
 * @throws the error of `endSandboxes`; the next call tries again
 */
export async function stopStack(home: Home, endSandboxes: EndSandboxes): Promise<StopResult> {
  const status = runningStack(home);
  const stopped = status !== null && (await endProcess(status.process, drainMsMax));
  return { stopped, left: await endLeftOvers(home, endSandboxes) };
}

/** If the lock isn't free, a stack runs and uses the server, so nothing is ended. */
async function endLeftOvers(home: Home, endSandboxes: EndSandboxes): Promise<StopResult['left']> {
  if (!existsSync(home.lockFile)) return nothing;
  const lock = await takeStackLock(home);
  if (lock === undefined) return nothing;
  try {
    const server = (await endLeftServer(home.natsFolder)) !== null;
    // Null if the last stack stopped in order, since it then removed its status.
    const engine = readStatus(home)?.engine ?? null;
    const sandboxes = engine === null ? 0 : await endSandboxes(engine);
    removeStatus(home);
    return { server, sandboxes };
  } finally {
    lock.release();
  }
}

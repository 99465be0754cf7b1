import { existsSync } from 'node:fs';
import { serviceLimits } from '@coppice/service';
import type { Home } from './home.ts';
import { endLeftServer } from './nats-server.ts';
import { endProcess } from './process-identity.ts';
import { takeStackLock } from './stack-lock.ts';
import { readStatus, removeStatus, runningStack } from './status.ts';

export type StopResult = {
  /** True if a stack ran and was drained. */
  stopped: boolean;
  /** What a killed stack left running: its server, and the number of sandboxes with running commands. All of it is ended now. */
  left: { server: boolean; sandboxes: number };
};

/** Ends the commands that a killed stack's sandboxes still run, by the engine's name. Returns the number of sandboxes. */
type EndSandboxes = (engine: string) => Promise<number>;

/** Maximum time of draining: all services stop at the same time, each within `stopMsMax`, and then the server stops. */
export const drainMsMax = serviceLimits.stopMsMax + 15_000;
const nothing = { server: false, sandboxes: 0 };

/** Drains and stops the stack of this home, and ends what a killed one left. @throws the error of `endSandboxes`; a repeated call retries it */
export async function stopStack(home: Home, endSandboxes: EndSandboxes): Promise<StopResult> {
  const status = runningStack(home);
  const stopped = status !== null && (await endProcess(status.process, drainMsMax));
  return { stopped, left: await endLeftOvers(home, endSandboxes) };
}

/** Ends what a killed stack left. Takes the lock first: if a running stack holds the lock, the server is in use, and nothing is ended. */
async function endLeftOvers(home: Home, endSandboxes: EndSandboxes): Promise<StopResult['left']> {
  if (!existsSync(home.lockFile)) return nothing;
  const lock = await takeStackLock(home);
  if (lock === undefined) return nothing;
  try {
    const server = (await endLeftServer(home.natsFolder)) !== null;
    // A stack that stopped in order has removed its status.
    const engine = readStatus(home)?.engine ?? null;
    const sandboxes = engine === null ? 0 : await endSandboxes(engine);
    removeStatus(home);
    return { server, sandboxes };
  } finally {
    lock.release();
  }
}

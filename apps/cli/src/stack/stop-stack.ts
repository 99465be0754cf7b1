import { existsSync } from 'node:fs';
import { serviceLimits } from '@coppice/service';
import type { Home } from './home.ts';
import { endLeftServer } from './nats-server.ts';
import { endProcess } from './process-identity.ts';
import { takeStackLock } from './stack-lock.ts';
import { readStatus, removeStatus, runningStack } from './status.ts';

export type StopResult = {
  /** Whether a stack ran, and was drained. */
  stopped: boolean;
  /** What a killed one had left, and is ended now. */
  left: { server: boolean; sandboxes: number };
};

/** Ends what the sandboxes of a killed stack still run, by the name of its engine; gives how many there were. */
type EndSandboxes = (engine: string) => Promise<number>;

/** The services stop at once, each within its time; then the server. */
export const drainMsMax = serviceLimits.stopMsMax + 15_000;
const nothing = { server: false, sandboxes: 0 };

/** Drains and stops the stack of this home; what a killed one left is ended, too. @throws what `endSandboxes` does; a repeat tries that again. */
export async function stopStack(home: Home, endSandboxes: EndSandboxes): Promise<StopResult> {
  const status = runningStack(home);
  const stopped = status !== null && (await endProcess(status.process, drainMsMax));
  return { stopped, left: await endLeftOvers(home, endSandboxes) };
}

/** Only under the lock: whoever holds it is a living stack, whose server isn't left over. */
async function endLeftOvers(home: Home, endSandboxes: EndSandboxes): Promise<StopResult['left']> {
  if (!existsSync(home.lockFile)) return nothing;
  const lock = await takeStackLock(home);
  if (lock === undefined) return nothing;
  try {
    const server = (await endLeftServer(home.natsFolder)) !== null;
    // A stack that stopped in order has taken its status away.
    const engine = readStatus(home)?.engine ?? null;
    const sandboxes = engine === null ? 0 : await endSandboxes(engine);
    removeStatus(home);
    return { server, sandboxes };
  } finally {
    lock.release();
  }
}

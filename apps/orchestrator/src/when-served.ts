import { setTimeout as sleep } from 'node:timers/promises';
import { CoppiceError } from '@coppice/contracts';

/** How long a service may be away: after a restart of the bus's server each comes back in a moment of its own, and one that is replaced has yet to start. */
const awayMsMax = 8_000;
const againMs = 200;
/** A lost connection is a `deadline-exceeded` at once: whether the call was received is unknown. */
const awayCodes: ReadonlySet<string> = new Set(['unavailable', 'deadline-exceeded']);

/** The answer to a call that changes nothing, so that it may be made again. @throws what the call throws; that nobody serves it (`unavailable`), or that no answer came (`deadline-exceeded`), only when that lasts. */
export async function whenServed<Answer>(call: () => Promise<Answer>, awayMs: number = awayMsMax): Promise<Answer> {
  for (const endMs = performance.now() + awayMs; ; await sleep(againMs)) {
    try {
      return await call();
    } catch (error) {
      const isAway = error instanceof CoppiceError && awayCodes.has(error.code);
      if (!isAway || performance.now() >= endMs) throw error;
    }
  }
}

import { setTimeout as sleep } from 'node:timers/promises';
import { Bus } from '@coppice/bus';
import type { BusOptions } from '@coppice/bus';
import { CoppiceError } from '@coppice/contracts';
import type { Logger } from '@coppice/telemetry';

const retryMsMin = 100;
const retryMsMax = 2_000;
const complaintIntervalMs = 5_000;

/**
 * Connects, and while no server answers tries again with growing pauses until `waitMs` have passed.
 * @throws UnsuitableServer and CoppiceError `permission-denied` at once, CoppiceError `unavailable` when the time is over, the signal's reason when aborted.
 */
export async function connectPatiently(
  options: BusOptions,
  settings: { waitMs: number; signal: AbortSignal; log: Logger },
): Promise<Bus> {
  const end = performance.now() + settings.waitMs;
  let complaintDue = performance.now() + complaintIntervalMs;
  for (let pauseMs = retryMsMin; ; pauseMs = Math.min(pauseMs * 2, retryMsMax)) {
    settings.signal.throwIfAborted();
    try {
      return await Bus.connect(options);
    } catch (error) {
      const worthIt = error instanceof CoppiceError && error.code === 'unavailable';
      if (!worthIt || performance.now() + pauseMs > end) throw error;
      if (performance.now() > complaintDue) {
        settings.log.warn({ err: error }, 'still waiting for a NATS server');
        complaintDue = performance.now() + complaintIntervalMs;
      }
    }
    await sleep(pauseMs, undefined, { signal: settings.signal });
  }
}

import { setTimeout as sleep } from 'node:timers/promises';
import { Bus } from '@coppice/bus';
import type { BusOptions } from '@coppice/bus';
import { CoppiceError } from '@coppice/contracts';
import type { Logger } from '@coppice/telemetry';

const retryMsMin = 100;
const retryMsMax = 2_000;
const complaintIntervalMs = 5_000;

/**
 * Connects to NATS. While no server answers, retries with growing pauses for `waitMs`.
 * @throws UnsuitableServer and CoppiceError `permission-denied` immediately, CoppiceError `unavailable` after `waitMs`, the signal's reason when aborted
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

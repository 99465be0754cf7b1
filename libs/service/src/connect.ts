import { Bus } from '@coppice/bus';
import type { BusOptions } from '@coppice/bus';
import { CoppiceError } from '@coppice/contracts';
import type { Logger } from '@coppice/telemetry';
import { retry } from './retry.ts';

const retryMsMin = 100;
const retryMsMax = 2_000;
const complaintIntervalMs = 5_000;

/**
 * Connects to NATS. If no server answers, retries for `waitMs`, with growing pauses.
 * @throws UnsuitableServer or CoppiceError `permission-denied` without a retry; CoppiceError `unavailable` after
 * `waitMs`; the signal's reason if the signal is aborted
 */
export async function connectPatiently(
  options: BusOptions,
  settings: { waitMs: number; signal: AbortSignal; log: Logger },
): Promise<Bus> {
  const { waitMs, signal, log } = settings;
  let complaintDue = performance.now() + complaintIntervalMs;
  const mayPass = (error: Error) => {
    if (!(error instanceof CoppiceError) || error.code !== 'unavailable') return false;
    if (performance.now() > complaintDue) {
      log.warn({ err: error }, 'still waiting for a NATS server');
      complaintDue = performance.now() + complaintIntervalMs;
    }
    return true;
  };
  let bus: Bus | undefined;
  const connect = async () => (bus = await Bus.connect(options));
  try {
    return await retry(connect, { mayPass, forMs: waitMs, pauseMs: retryMsMin, pauseMsMax: retryMsMax, signal });
  } catch (error) {
    // If the signal was aborted, `retry` throws even if a connection has been made.
    await bus?.close();
    throw error;
  }
}

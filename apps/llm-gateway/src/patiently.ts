import { setTimeout as sleep } from 'node:timers/promises';
import { CoppiceError } from '@coppice/contracts';
import { gatewayLimits } from './limits.ts';

/**
 * Does again what fails, for as long as the servers of a cluster take to choose a leader: for what becomes of an answer, which is paid for, and would be asked for
 * again. @throws what the last try threw.
 */
export async function patiently<Outcome>(work: () => Promise<Outcome>): Promise<Outcome> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      const isFinal = error instanceof CoppiceError && !error.retryable;
      if (isFinal || attempt === gatewayLimits.patientTriesMax) throw error;
      await sleep(gatewayLimits.patientPauseMs);
    }
  }
}

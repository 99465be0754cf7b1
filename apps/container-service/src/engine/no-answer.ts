import { CoppiceError } from '@coppice/contracts';
import type { ExecResult } from './port.ts';

/** An engine did not answer in time: whether it works, or what it enforces, is not known. Retryable. */
export class NoAnswer extends CoppiceError {
  constructor(code: 'engine-unavailable' | 'sandbox-failed', message: string) {
    super(code, message, { retryable: true });
  }
}

/** @throws NoAnswer for a command that was ended before it answered */
export function answered(result: ExecResult): ExecResult {
  if (!result.timedOut && !result.cancelled) return result;
  throw new NoAnswer('engine-unavailable', `no answer within ${Math.round(result.durationMs / 1000)} s`);
}

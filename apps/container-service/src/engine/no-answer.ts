import { CoppiceError } from '@coppice/contracts';
import type { ExecResult } from './port.ts';

/**
 * Retryable error for an engine that didn't answer in time. It is unknown whether the engine works and what it
 * enforces.
 */
export class NoAnswer extends CoppiceError {
  constructor(code: 'engine-unavailable' | 'sandbox-failed', message: string) {
    super(code, message, { retryable: true });
  }
}

/** @throws NoAnswer if the command was ended by its time limit or by a cancellation */
export function answered(result: ExecResult): ExecResult {
  if (!result.timedOut && !result.cancelled) return result;
  throw new NoAnswer('engine-unavailable', `no answer within ${Math.round(result.durationMs / 1000)} s`);
}

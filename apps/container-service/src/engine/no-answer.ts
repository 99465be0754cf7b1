import { CoppiceError } from '@coppice/contracts';

/** An engine did not answer in time: whether it works, or what it enforces, is not known. Retryable. */
export class NoAnswer extends CoppiceError {
  constructor(code: 'engine-unavailable' | 'sandbox-failed', message: string) {
    super(code, message, { retryable: true });
  }
}

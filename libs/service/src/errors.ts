import { CoppiceError } from '@coppice/contracts';
import type { FieldIssue } from '@coppice/contracts';
import { UnsuitableServer } from '@coppice/bus';
import { exitCodes } from './exit-codes.ts';

/** Error for invalid environment variables. `issues` has an entry for each of them. */
export class ConfigurationError extends Error {
  override readonly name = 'ConfigurationError';
  readonly code = 'configuration';
  readonly retryable = false;
  readonly issues: FieldIssue[];

  constructor(issues: FieldIssue[]) {
    super(
      issues.map(({ field, expected, received }) => `${field}: expected ${expected}, received ${received}`).join('\n'),
    );
    this.issues = issues;
  }
}

export function exitCodeFor(error: unknown): number {
  if (error instanceof ConfigurationError || error instanceof UnsuitableServer) return exitCodes.misconfigured;
  if (error instanceof CoppiceError && error.code === 'permission-denied') return exitCodes.misconfigured;
  if (error instanceof CoppiceError && error.code === 'unavailable') return exitCodes.unavailable;
  return exitCodes.failed;
}

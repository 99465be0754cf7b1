import { UnsuitableServer } from '@coppice/bus';
import { CoppiceError } from '@coppice/contracts';
import { exitCodes } from './exit-codes.ts';
import type { ExitCode } from './exit-codes.ts';

/** An error with an exit code. The user sees its message without a stack trace. Not retryable. */
export class CliError extends Error {
  override readonly name = 'CliError';
  readonly exitCode: ExitCode;

  constructor(exitCode: ExitCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.exitCode = exitCode;
  }
}

const badInputCodes = new Set([
  'invalid-request',
  'not-found',
  'conflict',
  'already-exists',
  'permission-denied',
  'limit-exceeded',
  'repository-not-found',
  'branch-not-found',
  'landing-refused',
  'image-not-found',
  'model-not-found',
]);

/**
 * Returns the exit code and the text for an error of a command. For a defect of Coppice, the text includes the stack
 * trace.
 */
export function describeFailure(error: unknown): { exitCode: ExitCode; text: string } {
  if (error instanceof CliError) return { exitCode: error.exitCode, text: error.message };
  if (error instanceof CoppiceError) {
    const exitCode = badInputCodes.has(error.code) ? exitCodes.badInput : exitCodes.stackUnavailable;
    return { exitCode, text: `${error.message} (${error.code})` };
  }
  if (error instanceof UnsuitableServer) return { exitCode: exitCodes.stackUnavailable, text: error.message };
  // The NATS client and AbortSignal.timeout throw errors with this name.
  if (error instanceof Error && error.name === 'TimeoutError')
    return {
      exitCode: exitCodes.stackUnavailable,
      text: `no answer in time (${error.message}); the stack is busy or stopping`,
    };
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { exitCode: exitCodes.stackUnavailable, text: `a defect of coppice: ${text}` };
}

/**
 * Errors for a command if the stack ends or doesn't answer. An error names the command with which the user can
 * continue.
 */
import { CoppiceError } from '@coppice/contracts';
import type { StackClient } from './api-client.ts';
import { CliError } from './errors.ts';
import { exitCodes } from './exit-codes.ts';

/**
 * `kept`: subject and verb of the clause "run r5 is kept" or "runs are kept". `command`: the command that shows the run
 * or runs again.
 */
export type GoingOn = { kept: string; command: string };

/** Rejects when the stack ends. Removes its listener when `until` is aborted, and then never settles. */
export function untilStackEnds({ stackEnded }: StackClient, until: AbortSignal, goingOn: GoingOn): Promise<never> {
  return new Promise((_resolve, reject) => {
    const end = () => reject(lost(String(stackEnded.reason), goingOn));
    if (stackEnded.aborted) end();
    stackEnded.addEventListener('abort', end, { once: true, signal: until });
  });
}

/**
 * Adds the command with which the user can continue, if the error means that a call got no answer. Returns any other
 * error unchanged.
 */
export function noAnswer(error: unknown, { kept, command }: GoingOn): unknown {
  if (!(error instanceof CliError && error.cause instanceof CoppiceError)) return error;
  const text = `${error.message}; ${kept} kept. See coppice doctor; go on with: ${command}`;
  return new CliError(error.exitCode, text, { cause: error.cause });
}

const lost = (what: string, { kept, command }: GoingOn) =>
  new CliError(exitCodes.stackUnavailable, `${what}; ${kept} kept. Go on with: coppice up, then ${command}`);

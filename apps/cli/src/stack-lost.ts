/** Errors for a command whose stack ends or doesn't answer. They say what ended, and how to continue. */
import { CoppiceError } from '@coppice/contracts';
import type { StackClient } from './api-client.ts';
import { CliError } from './errors.ts';
import { exitCodes } from './exit-codes.ts';

/**
 * `kept`: what the stack keeps, as the start of a sentence ("run r5 is", "runs are"). `command`: the command that shows the run or the runs
 * again.
 */
export type GoingOn = { kept: string; command: string };

/** Rejects when the stack ends, and never settles otherwise. Removes its listener when `until` is aborted. */
export function untilStackEnds({ stackEnded }: StackClient, until: AbortSignal, goingOn: GoingOn): Promise<never> {
  return new Promise((_resolve, reject) => {
    const end = () => reject(lost(String(stackEnded.reason), goingOn));
    if (stackEnded.aborted) end();
    stackEnded.addEventListener('abort', end, { once: true, signal: until });
  });
}

/** If a call got no answer, adds to its error the command with which the user can continue. Returns any other error unchanged. */
export function noAnswer(error: unknown, { kept, command }: GoingOn): unknown {
  if (!(error instanceof CliError && error.cause instanceof CoppiceError)) return error;
  const text = `${error.message}; ${kept} kept. See coppice doctor; go on with: ${command}`;
  return new CliError(error.exitCode, text, { cause: error.cause });
}

const lost = (what: string, { kept, command }: GoingOn) =>
  new CliError(exitCodes.stackUnavailable, `${what}; ${kept} kept. Go on with: coppice up, then ${command}`);

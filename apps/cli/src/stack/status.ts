import { rmSync } from 'node:fs';
import type { Home } from './home.ts';
import { readJsonFile, writePrivateFile } from './private-file.ts';
import { isRunning } from './process-identity.ts';
import type { ProcessIdentity } from './process-identity.ts';

export type StackPhase = 'starting' | 'ready' | 'stopping' | 'failed';

/** The status of a stack. Only the stack itself writes it. */
export type StackStatus = {
  process: ProcessIdentity;
  phase: StackPhase;
  lines: string[];
  /** Name of the sandbox engine; null while unknown. */
  engine: string | null;
  /** Reason of the failure; null if the stack has not failed. */
  failure: string | null;
};

export const writeStatus = (home: Home, status: StackStatus): void =>
  writePrivateFile(home.statusFile, `${JSON.stringify(status)}\n`);

export const removeStatus = (home: Home): void => rmSync(home.statusFile, { force: true });

/** Reads the last status. Its stack may have ended. */
export const readStatus = (home: Home): StackStatus | null => readJsonFile(home.statusFile) as StackStatus | null;

/** Returns null if no stack runs. */
export function runningStack(home: Home): StackStatus | null {
  const status = readStatus(home);
  return status !== null && isRunning(status.process) ? status : null;
}

import { rmSync } from 'node:fs';
import type { Home } from './home.ts';
import { readJsonFile, writePrivateFile } from './private-file.ts';
import { isRunning } from './process-identity.ts';
import type { ProcessIdentity } from './process-identity.ts';

export type StackPhase = 'starting' | 'ready' | 'stopping' | 'failed';

/** What a stack tells of itself; written by it alone. */
export type StackStatus = {
  process: ProcessIdentity;
  phase: StackPhase;
  /** What has been done so far, for a person. */
  lines: string[];
  /** Of the sandboxes; null while it isn't known. */
  engine: string | null;
  /** Why it failed. */
  failure: string | null;
};

export const writeStatus = (home: Home, status: StackStatus): void =>
  writePrivateFile(home.statusFile, `${JSON.stringify(status)}\n`);

export const removeStatus = (home: Home): void => rmSync(home.statusFile, { force: true });

/** As it was last written, by whichever stack. */
export const readStatus = (home: Home): StackStatus | null => readJsonFile(home.statusFile) as StackStatus | null;

/** Of the stack whose process runs now. */
export function runningStack(home: Home): StackStatus | null {
  const status = readStatus(home);
  return status !== null && isRunning(status.process) ? status : null;
}

import type { CommandResult } from '@coppice/contracts';
import { taskLimits } from './task-context.ts';

export const passed = (result: CommandResult): boolean => result.exitCode === 0 && !result.timedOut;

export function verifyFailure(result: CommandResult, timeLimitMs: number): string {
  if (result.timedOut) return `verify took longer than ${Math.round(timeLimitMs / 1_000)} s`;
  if (result.outOfMemory) return 'verify used more memory than its sandbox has';
  if (result.signal !== null) return `verify was ended by ${result.signal}`;
  return `verify ended with exit code ${result.exitCode}`;
}

export function logTail(result: CommandResult): string | null {
  const text = [result.standardOutput, result.standardError].filter((part) => part.trim() !== '').join('\n');
  if (text === '') return null;
  return text
    .trimEnd()
    .split('\n')
    .slice(-taskLimits.logTailLinesMax)
    .join('\n')
    .slice(-taskLimits.logTailCharactersMax);
}

import { CoppiceError } from '@coppice/contracts';
import { redactText } from '../repository/address.ts';
import { flockBusyCode } from './flock.ts';

/** Error codes of a system that is temporarily out of processes, memory or file descriptors. */
const passing = new Set(['EAGAIN', 'ENOMEM', 'EMFILE', 'ENFILE']);

export function notStarted(error: unknown): CoppiceError {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return new CoppiceError('unavailable', `git could not be started: ${String(error)}`, {
    cause: error,
    retryable: passing.has(code),
  });
}

export const abortReason = (args: readonly string[], signal: AbortSignal | undefined): CoppiceError =>
  signal?.reason instanceof CoppiceError
    ? signal.reason
    : new CoppiceError('cancelled', `git ${args[0]} was cancelled`);

/** Matches git's error messages about an existing lock file and captures the path of that file. */
const lockInTheWay =
  /Unable to create '([^'\n]+\.lock)': File exists|unable to create file ([^\n]+?\.new): File exists/i;

export function gitFailure(
  args: readonly string[],
  { exitCode, how, stderr }: { exitCode: number; how: string; stderr: string },
): CoppiceError {
  const said = redactText(stderr.trim()).split('\n').slice(-5).join(' | ').slice(0, 1_000);
  const details = { exitCode, stderr: redactText(stderr).slice(0, 4_000) };
  const found = lockInTheWay.exec(stderr);
  const lock = found?.[1] ?? found?.[2];
  if (lock !== undefined) {
    const text = `git ${args[0]}: the lock ${lock} exists: another git is at work there, or one was killed. Once none runs, remove the file`;
    return new CoppiceError('git-contention', text, { details: { ...details, lock } });
  }
  const code = /cannot lock ref/.test(stderr) || exitCode === flockBusyCode ? 'git-contention' : 'git-failed';
  return new CoppiceError(code, `git ${args[0]}: ${said === '' ? how : said}`, { details });
}

/** Returns the path of the lock file that caused a `git-contention` error; undefined if a moved ref caused it. */
export function lockNamed(error: unknown): string | undefined {
  if (!(error instanceof CoppiceError) || error.code !== 'git-contention') return undefined;
  const { lock } = (error.details ?? {}) as { lock?: unknown };
  return typeof lock === 'string' ? lock : undefined;
}

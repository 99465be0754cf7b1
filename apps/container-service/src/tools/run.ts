import { stripVTControlCharacters } from 'node:util';
import { toolLimits, type sandboxToolSchemas } from '@coppice/contracts';
import type { z } from 'zod';
import type { ExecOptions, ExecResult } from '../engine/port.ts';
import { boundOutput } from './bound.ts';
import type { Answer, Sandbox } from './tool.ts';

/** Environment that turns off colours and pagers. */
const environment = { NO_COLOR: '1', TERM: 'dumb', PAGER: 'cat', GIT_PAGER: 'cat' };
/**
 * Number of bytes kept from the beginning of each stream. The same number is kept from its end. This is more than the
 * model gets.
 */
const keepBytes = toolLimits.resultCharactersMax;
/** Characters reserved for the line that reports how the command ended, and for the lines between the parts. */
const reservedCharacters = 500;
/** Share of the available characters that the shorter stream gets if both streams are long. */
const smallerShare = 0.3;

/** Runs a shell command for the model. `whole` is true if the text contains all output. */
export async function run(
  sandbox: Sandbox,
  { command, timeoutSeconds }: z.output<typeof sandboxToolSchemas.run>,
  options: Pick<ExecOptions, 'logFile' | 'onOutput'> & { timeLimitMs: number },
): Promise<Answer & { whole: boolean }> {
  const { timeLimitMs, ...output } = options;
  const timeoutMs = Math.min(timeoutSeconds * 1_000, timeLimitMs);
  const result = await sandbox.exec(['/bin/sh', '-c', command], { ...output, timeoutMs, keepBytes, env: environment });
  const room = sandbox.resultCharactersMax - reservedCharacters;
  const shares = share(result.stdout.text.length, result.stderr.text.length, room);
  const stdout = boundOutput(result.stdout, shares[0]);
  const stderr = boundOutput(result.stderr, shares[1]);
  const parts = [ending(result, timeoutMs)];
  if (stdout.text !== '') parts.push(stripVTControlCharacters(stdout.text).trimEnd());
  if (stderr.text.trim() !== '') parts.push('--- stderr ---', stripVTControlCharacters(stderr.text).trimEnd());
  const whole = stdout.whole && stderr.whole;
  if (!whole) parts.push('(shortened: filter the output, or write it to a file, to see more)');
  return { content: parts.join('\n'), isError: result.exitCode !== 0 || result.timedOut, whole };
}

function ending(result: ExecResult, timeoutMs: number): string {
  const seconds = (result.durationMs / 1_000).toFixed(1);
  if (result.timedOut) return `ended: it took longer than ${Math.round(timeoutMs / 1_000)} s (see timeoutSeconds)`;
  if (result.oomKilled) return 'ended: it used more memory than the sandbox has';
  if (result.diskExceeded) return 'ended: it wrote more than the disk limit allows';
  if (result.signal !== null) return `ended by ${result.signal} after ${seconds} s`;
  return `exit code ${result.exitCode} after ${seconds} s`;
}

/** Divides the available characters between two streams. The longer stream gets the characters that the shorter one doesn't need. */
function share(left: number, right: number, room: number): [number, number] {
  if (left + right <= room) return [left, right];
  const small = Math.floor(room * smallerShare);
  if (right <= small) return [room - right, right];
  if (left <= small) return [left, room - left];
  return left >= right ? [room - small, small] : [small, room - small];
}

/** Detects an agent that repeats itself. */
import { shortHash } from '@coppice/contracts';
import type { ToolCall } from '@coppice/contracts';
import { agentLimits } from './limits.ts';

export const hashOfCalls = (calls: readonly ToolCall[]): string =>
  shortHash(...calls.flatMap(({ name, arguments: given }) => [name, 'text' in given ? given.text : given.artifact]));

export const remember = (hashes: readonly string[], hash: string): string[] =>
  [...hashes, hash].slice(-agentLimits.rememberedTurns);

/**
 * Number of times in a row that the last turn occurs, or the last group of up to `repeatPeriodMax` turns. At least 1 if
 * there is a turn.
 */
export function repeatsOf(hashes: readonly string[]): number {
  let most = hashes.length === 0 ? 0 : 1;
  for (let period = 1; period <= agentLimits.repeatPeriodMax; period++) {
    let same = 0;
    while (same + period < hashes.length && hashes.at(-1 - same) === hashes.at(-1 - same - period)) same++;
    most = Math.max(most, Math.floor(same / period) + 1);
  }
  return most;
}

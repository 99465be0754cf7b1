/** Notices an agent that goes in circles. Pure. */
import { shortHash } from '@coppice/contracts';
import type { ToolCall } from '@coppice/contracts';
import { agentLimits } from './limits.ts';

/** The same for the same calls with the same arguments, in the same order. */
export const hashOfCalls = (calls: readonly ToolCall[]): string =>
  shortHash(...calls.flatMap(({ name, arguments: given }) => [name, 'text' in given ? given.text : given.artifact]));

export const remember = (hashes: readonly string[], hash: string): string[] =>
  [...hashes, hash].slice(-agentLimits.rememberedTurns);

/** How often the last turn, or the last group of a few turns, has come in a row; at least 1 where there is one. */
export function repeatsOf(hashes: readonly string[]): number {
  let most = hashes.length === 0 ? 0 : 1;
  for (let period = 1; period <= agentLimits.repeatPeriodMax; period++) {
    let same = 0;
    while (same + period < hashes.length && hashes.at(-1 - same) === hashes.at(-1 - same - period)) same++;
    most = Math.max(most, Math.floor(same / period) + 1);
  }
  return most;
}

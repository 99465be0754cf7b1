import { CoppiceError } from '@coppice/contracts';
import type { Account } from './account.ts';
import { amountOf, inUsd, minus } from './amount.ts';
import type { Amount } from './amount.ts';
import type { Budget } from './budgets.ts';

/** What a call is told that a budget has too little for. */
export function usedUp({ name, limit }: Budget, { spent }: Account, wanted: Amount): CoppiceError {
  const left = minus(amountOf(limit), spent);
  const what =
    wanted.tokens > left.tokens || !Number.isFinite(left.nanoUsd)
      ? `it has ${Math.max(0, left.tokens)} of ${limit.tokens} tokens left, and the next turn may need ${wanted.tokens}`
      : `it has ${usd(left.nanoUsd)} of ${limit.costUsd} US dollars left, and the next turn may need ${usd(wanted.nanoUsd)}`;
  const details = { budget: name, limit, spent: inUsd(spent) };
  const text = `the limit of ${name} on what models may use is too low to go on: ${what}`;
  return new CoppiceError('limit-exceeded', text, { details });
}

const usd = (nanoUsd: number): string => (Math.max(0, nanoUsd) / 1e9).toFixed(9).replace(/0+$/, '').replace(/\.$/, '');

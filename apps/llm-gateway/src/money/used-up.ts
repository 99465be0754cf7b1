import { CoppiceError } from '@coppice/contracts';
import { amountOf, inUsd, minus } from './amount.ts';
import type { Amount } from './amount.ts';
import type { Budget } from './budgets.ts';

/** Why a budget has too little for a call. */
export type Shortage = {
  budget: Budget;
  spent: Amount;
  /** What could be reserved now; less than nothing where more was used than was reserved. */
  free: Amount;
  /** What could be once all that is in flight has ended, if it were settled for nothing. */
  left: Amount;
};

/** Calls in flight may be over by then. */
const retryAfterMs = 1_000;

/**
 * What a call is told that a budget has too little for.
 * @param forNow whether it may be enough once calls in flight are over
 */
export function usedUp({ budget, spent, free, left }: Shortage, wanted: Amount, forNow: boolean): CoppiceError {
  const { name, limit } = budget;
  const reserved = minus(left, free);
  const isOfTokens = wanted.tokens > free.tokens || !Number.isFinite(free.nanoUsd);
  const [has, more, needs] = isOfTokens
    ? [`${Math.max(0, free.tokens)} of ${limit.tokens} tokens`, reserved.tokens, `${wanted.tokens}`]
    : [`${usd(free.nanoUsd)} of ${limit.costUsd} US dollars`, reserved.nanoUsd, usd(wanted.nanoUsd)];
  const inFlight = more > 0 ? ` ${isOfTokens ? more : usd(more)} more are reserved by calls in flight,` : '';
  const what = `it has ${has} left,${inFlight} and the next turn may need ${needs}`;
  const details = { budget: name, limit, spent: inUsd(spent) };
  if (!forNow) {
    const text = `the limit of ${name} on what models may use is too low to go on: ${what}`;
    return new CoppiceError('limit-exceeded', text, { details });
  }
  const text = `the limit of ${name} on what models may use is taken up by calls in flight: ${what}`;
  return new CoppiceError('provider-limited', text, { details: { ...details, retryAfterMs } });
}

/** Nothing else is free, and nothing comes back. */
export const shortageAlone = (budget: Budget, spent: Amount, reserved: Amount): Shortage => {
  const free = minus(minus(amountOf(budget.limit), spent), reserved);
  return { budget, spent, free, left: free };
};

const usd = (nanoUsd: number): string => (Math.max(0, nanoUsd) / 1e9).toFixed(9).replace(/0+$/, '').replace(/\.$/, '');

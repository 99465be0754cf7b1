import { CoppiceError } from '@coppice/contracts';
import { amountOf, inUsd, minus } from './amount.ts';
import type { Amount } from './amount.ts';
import type { Budget } from './budget.ts';

/** State of a budget that is too small for a call. */
export type Shortage = {
  budget: Budget;
  spent: Amount;
  /** Amount that can be reserved now. Negative if calls used more than they reserved. */
  free: Amount;
  /** Amount that could be reserved if all calls in flight ended without usage. */
  left: Amount;
};

/** Value of `retryAfterMs` in the error. Calls in flight may end in this time. */
const retryAfterMs = 1_000;

/** @param forNow true if the budget may be large enough after calls in flight end. The error is then retryable. */
export function shortageError({ budget, spent, free, left }: Shortage, wanted: Amount, forNow: boolean): CoppiceError {
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

/** No other call can return an amount to a budget that only one call uses, so `left` equals `free`. */
export const shortageAlone = (budget: Budget, spent: Amount, reserved: Amount): Shortage => {
  const free = minus(minus(amountOf(budget.limit), spent), reserved);
  return { budget, spent, free, left: free };
};

const usd = (nanoUsd: number): string => (Math.max(0, nanoUsd) / 1e9).toFixed(9).replace(/0+$/, '').replace(/\.$/, '');

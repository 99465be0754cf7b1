/** What is counted against a budget: tokens, and money in billionths of a US dollar, since a token of the cheapest models costs some twenty of them. */
export type Amount = { tokens: number; nanoUsd: number };

/** What a budget allows; a missing count is unlimited. */
export type AmountLimit = { tokens?: number | undefined; costUsd?: number | undefined };

export const nothing: Amount = { tokens: 0, nanoUsd: 0 };

/** Rounded up: whoever is charged a part of a billionth is charged it whole. */
export const nanoUsdOf = (usd: number): number => Math.max(0, Math.ceil(usd * 1e9 - 1e-6));

export const inUsd = ({ tokens, nanoUsd }: Amount): { tokens: number; costUsd: number } => ({
  tokens,
  costUsd: nanoUsd / 1e9,
});

/** The limit as an amount, with Infinity for what isn't limited. */
export const amountOf = ({ tokens, costUsd }: AmountLimit): Amount => ({
  tokens: tokens ?? Number.POSITIVE_INFINITY,
  nanoUsd: costUsd === undefined ? Number.POSITIVE_INFINITY : nanoUsdOf(costUsd),
});

/** No more than what can be written, and read again. */
export const plus = (one: Amount, other: Amount): Amount =>
  combined(one, other, (a, b) => Math.min(a + b, Number.MAX_SAFE_INTEGER));
export const minus = (one: Amount, other: Amount): Amount => combined(one, other, (a, b) => a - b);
export const least = (one: Amount, other: Amount): Amount => combined(one, other, Math.min);
export const sumOf = (all: readonly Amount[]): Amount => all.reduce(plus, nothing);
/** Nothing where it is less than nothing; whole numbers. */
export const scaled = (amount: Amount, factor: number): Amount =>
  combined(amount, nothing, (count) => Math.max(0, Math.floor(count * factor)));
export const fits = (wanted: Amount, free: Amount): boolean =>
  wanted.tokens <= free.tokens && wanted.nanoUsd <= free.nanoUsd;
export const isNothing = ({ tokens, nanoUsd }: Amount): boolean => tokens === 0 && nanoUsd === 0;

const combined = (one: Amount, other: Amount, by: (a: number, b: number) => number): Amount => ({
  tokens: by(one.tokens, other.tokens),
  nanoUsd: by(one.nanoUsd, other.nanoUsd),
});

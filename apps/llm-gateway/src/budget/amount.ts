/** Amount counted against a budget: tokens, and money in billionths of a US dollar, since a token of the cheapest models costs about twenty of them. */
export type Amount = { tokens: number; nanoUsd: number };

/** Limit of a budget; a missing count is unlimited. */
export type AmountLimit = { tokens?: number | undefined; costUsd?: number | undefined };

export const nothing: Amount = { tokens: 0, nanoUsd: 0 };

/** Rounded up to a whole billionth. */
export const nanoUsdOf = (usd: number): number => Math.max(0, Math.ceil(usd * 1e9 - 1e-6));

export const inUsd = ({ tokens, nanoUsd }: Amount): { tokens: number; costUsd: number } => ({
  tokens,
  costUsd: nanoUsd / 1e9,
});

/** Limit as an amount, with Infinity for unlimited counts. */
export const amountOf = ({ tokens, costUsd }: AmountLimit): Amount => ({
  tokens: tokens ?? Number.POSITIVE_INFINITY,
  nanoUsd: costUsd === undefined ? Number.POSITIVE_INFINITY : nanoUsdOf(costUsd),
});

/** Capped at the largest safe integer, so that the sum survives JSON. */
export const plus = (one: Amount, other: Amount): Amount => ({
  tokens: Math.min(one.tokens + other.tokens, Number.MAX_SAFE_INTEGER),
  nanoUsd: Math.min(one.nanoUsd + other.nanoUsd, Number.MAX_SAFE_INTEGER),
});
export const minus = (one: Amount, other: Amount): Amount => ({
  tokens: one.tokens - other.tokens,
  nanoUsd: one.nanoUsd - other.nanoUsd,
});
export const least = (one: Amount, other: Amount): Amount => ({
  tokens: Math.min(one.tokens, other.tokens),
  nanoUsd: Math.min(one.nanoUsd, other.nanoUsd),
});
export const sumOf = (all: readonly Amount[]): Amount => all.reduce(plus, nothing);
/** At least zero; whole numbers. */
export const scaled = ({ tokens, nanoUsd }: Amount, factor: number): Amount => ({
  tokens: Math.max(0, Math.floor(tokens * factor)),
  nanoUsd: Math.max(0, Math.floor(nanoUsd * factor)),
});
export const fits = (wanted: Amount, free: Amount): boolean =>
  wanted.tokens <= free.tokens && wanted.nanoUsd <= free.nanoUsd;
export const isNothing = ({ tokens, nanoUsd }: Amount): boolean => tokens === 0 && nanoUsd === 0;

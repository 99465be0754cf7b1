/**
 * Amount counted against a budget. Money is in billionths of a US dollar, since one token of the cheapest models costs
 * only about 20 billionths.
 */
export type Amount = { tokens: number; nanoUsd: number };

/** Limit of a budget. An omitted count has no limit. */
export type AmountLimit = { tokens?: number | undefined; costUsd?: number | undefined };

export const nothing: Amount = { tokens: 0, nanoUsd: 0 };

/** Converts US dollars to billionths, rounded up. */
export const nanoUsdOf = (usd: number): number => Math.max(0, Math.ceil(usd * 1e9 - 1e-6));

export const inUsd = ({ tokens, nanoUsd }: Amount): { tokens: number; costUsd: number } => ({
  tokens,
  costUsd: nanoUsd / 1e9,
});

export const amountOf = ({ tokens, costUsd }: AmountLimit): Amount => ({
  tokens: tokens ?? Number.POSITIVE_INFINITY,
  nanoUsd: costUsd === undefined ? Number.POSITIVE_INFINITY : nanoUsdOf(costUsd),
});

/** Returns the sum, capped at the largest safe integer so that JSON preserves it. */
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
/** Rounds down, and replaces negative numbers by 0. */
export const scaled = ({ tokens, nanoUsd }: Amount, factor: number): Amount => ({
  tokens: Math.max(0, Math.floor(tokens * factor)),
  nanoUsd: Math.max(0, Math.floor(nanoUsd * factor)),
});
export const fits = (wanted: Amount, free: Amount): boolean =>
  wanted.tokens <= free.tokens && wanted.nanoUsd <= free.nanoUsd;
export const isNothing = ({ tokens, nanoUsd }: Amount): boolean => tokens === 0 && nanoUsd === 0;

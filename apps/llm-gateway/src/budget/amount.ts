/**
 * Amount that counts against a budget. Money is in billionths of a US dollar, since a token of the cheapest models
 * costs about twenty of them.
 */
export type Amount = { tokens: number; nanoUsd: number };

/** Limit of a budget. If a field is missing, that count has no limit. */
export type AmountLimit = { tokens?: number | undefined; costUsd?: number | undefined };

export const nothing: Amount = { tokens: 0, nanoUsd: 0 };

/** Rounds up to a whole billionth. The subtraction hides floating-point errors. */
export const nanoUsdOf = (usd: number): number => Math.max(0, Math.ceil(usd * 1e9 - 1e-6));

export const inUsd = ({ tokens, nanoUsd }: Amount): { tokens: number; costUsd: number } => ({
  tokens,
  costUsd: nanoUsd / 1e9,
});

export const amountOf = ({ tokens, costUsd }: AmountLimit): Amount => ({
  tokens: tokens ?? Number.POSITIVE_INFINITY,
  nanoUsd: costUsd === undefined ? Number.POSITIVE_INFINITY : nanoUsdOf(costUsd),
});

/** Caps the sum at the largest safe integer, so that JSON preserves it. */
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
export const scaled = ({ tokens, nanoUsd }: Amount, factor: number): Amount => ({
  tokens: Math.max(0, Math.floor(tokens * factor)),
  nanoUsd: Math.max(0, Math.floor(nanoUsd * factor)),
});
export const fits = (wanted: Amount, free: Amount): boolean =>
  wanted.tokens <= free.tokens && wanted.nanoUsd <= free.nanoUsd;
export const isNothing = ({ tokens, nanoUsd }: Amount): boolean => tokens === 0 && nanoUsd === 0;

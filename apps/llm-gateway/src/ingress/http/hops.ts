/** Holds the number of gateways that a request passed. */
export const hopsHeader = 'x-coppice-hops';
/** A gateway may be a provider of another. */
const hopsMax = 4;

/** The number of gateways before this one; 0 for a client that is no gateway. */
export function hopsOf(headers: Readonly<Record<string, string | string[] | undefined>>): number {
  const text = headers[hopsHeader];
  return typeof text === 'string' && /^\d{1,3}$/.test(text) ? Number(text) : 0;
}

export const isTooFar = (hops: number): boolean => hops >= hopsMax;

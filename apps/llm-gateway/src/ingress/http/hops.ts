/** Header with the number of gateways that a request has passed. */
export const hopsHeader = 'x-coppice-hops';
/** Maximum number of hops. It is more than 1, since a gateway may be a provider of another gateway. */
const hopsMax = 4;

/** Returns the number of gateways before this one; 0 if the client isn't a gateway. */
export function hopsOf(headers: Readonly<Record<string, string | string[] | undefined>>): number {
  const text = headers[hopsHeader];
  return typeof text === 'string' && /^\d{1,3}$/.test(text) ? Number(text) : 0;
}

export const isTooFar = (hops: number): boolean => hops >= hopsMax;

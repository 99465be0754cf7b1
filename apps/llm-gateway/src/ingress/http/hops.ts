/** Header with the number of gateways that have forwarded the request. */
export const hopsHeader = 'x-coppice-hops';
/**
 * Number of hops at which a request is rejected. It is more than 1, since a gateway may be another gateway's provider.
 */
const hopsMax = 4;

export function hopsOf(headers: Readonly<Record<string, string | string[] | undefined>>): number {
  const text = headers[hopsHeader];
  return typeof text === 'string' && /^\d{1,3}$/.test(text) ? Number(text) : 0;
}

export const isTooFar = (hops: number): boolean => hops >= hopsMax;

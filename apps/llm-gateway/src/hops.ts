/** Through how many gateways a request came. */
export const hopsHeader = 'x-coppice-hops';
/** One gateway may be another's provider. */
const hopsMax = 4;

/** 0 of what a client sends that is no gateway. */
export function hopsOf(headers: Readonly<Record<string, string | string[] | undefined>>): number {
  const text = headers[hopsHeader];
  return typeof text === 'string' && /^\d{1,3}$/.test(text) ? Number(text) : 0;
}

export const isTooFar = (hops: number): boolean => hops >= hopsMax;

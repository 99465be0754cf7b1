import type { OriginalRequest } from '../port.ts';
import type { Wire } from './wire.ts';

/** A server that is asked in one of the wires. */
export type Endpoint = {
  /** The part of `provider/model` before the first slash. */
  name: string;
  wire: Wire;
  /** With its path, such as `/v1`. */
  baseUrl: string;
  key: string | null;
  /** The variable to set, where it is known that nothing works without a key; else null. */
  keyRequired: string | null;
  /** Sent with each request, e.g. an organisation's name; never a key. */
  headers?: Readonly<Record<string, string>>;
  /** Calls at once, of one process; default `exchangeLimits.concurrency`. */
  concurrency?: number;
};

/** The address of a path below the base; a query of the base stays. */
export function urlOf({ baseUrl }: Pick<Endpoint, 'baseUrl'>, path: string): string {
  const url = new URL(baseUrl);
  const [below = '', query] = path.split('?', 2);
  url.pathname = `${url.pathname.replace(/\/+$/, '')}/${below}`;
  for (const [name, value] of new URLSearchParams(query)) url.searchParams.set(name, value);
  return url.href;
}

export const headersOf = (
  { key, wire, headers }: Endpoint,
  original: OriginalRequest | null = null,
): Record<string, string> => ({
  'user-agent': 'coppice',
  ...headers,
  ...wire.headers(original),
  ...(key === null ? {} : wire.keyHeaders(key)),
});

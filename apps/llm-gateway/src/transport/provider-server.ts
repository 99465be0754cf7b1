import type { OriginalRequest } from '../provider/port.ts';
import type { HttpAddress } from './client.ts';
import type { Wire } from './wire.ts';

/** A model server and its wire format. */
export type ProviderServer = {
  /** The part of `provider/model` before the first slash. */
  name: string;
  wire: Wire;
  /** Base URL with its path, such as `/v1`. */
  baseUrl: string;
  key: string | null;
  /** Variable for the key, if the server is known to require one; else null. */
  keyRequired: string | null;
  /** Headers of each request, e.g. an organisation's name. Never includes a key. */
  headers?: Readonly<Record<string, string>>;
  /** Concurrent calls from one process; default `exchangeLimits.concurrency`. */
  concurrency?: number;
};

/** Returns the address of a path below a base URL. A query in the base URL is kept. */
export function addressOf({ baseUrl }: Pick<ProviderServer, 'baseUrl'>, path: string): HttpAddress {
  const url = new URL(baseUrl);
  const [below = '', query] = path.split('?', 2);
  url.pathname = `${url.pathname.replace(/\/+$/, '')}/${below}`;
  for (const [name, value] of new URLSearchParams(query)) url.searchParams.set(name, value);
  return { origin: url.origin, path: `${url.pathname}${url.search}` };
}

export const headersOf = (
  { key, wire, headers }: ProviderServer,
  original: OriginalRequest | null = null,
): Record<string, string> =>
  Object.assign(
    { 'user-agent': 'coppice' },
    headers,
    wire.headers(original),
    key === null ? null : wire.keyHeaders(key),
  );

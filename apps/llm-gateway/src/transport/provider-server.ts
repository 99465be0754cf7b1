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
  /** Environment variable for the key if the server requires a key, else null. */
  keyRequired: string | null;
  /** Headers of each request, for example an organization's name. Never contains a key. */
  headers?: Readonly<Record<string, string>>;
  /** Maximum number of concurrent calls from one process. Default: `exchangeLimits.concurrency`. */
  concurrency?: number;
};

/** Returns the address of a path below a base URL. The query of the base URL is added, too. */
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

import type { OriginalRequest } from '../port.ts';
import type { HttpAddress } from './client.ts';
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

/** Most servers have one, some one for each model. */
const addressesMax = 1_000;

/** Addresses of paths below a base; a query of the base stays. */
export class Addresses {
  readonly #baseUrl: string;
  /** To make one takes longer than to ask for it. */
  readonly #made = new Map<string, HttpAddress>();

  constructor({ baseUrl }: Pick<Endpoint, 'baseUrl'>) {
    this.#baseUrl = baseUrl;
  }

  of(path: string): HttpAddress {
    const known = this.#made.get(path);
    if (known !== undefined) return known;
    const url = new URL(this.#baseUrl);
    const [below = '', query] = path.split('?', 2);
    url.pathname = `${url.pathname.replace(/\/+$/, '')}/${below}`;
    for (const [name, value] of new URLSearchParams(query)) url.searchParams.set(name, value);
    const address = { origin: url.origin, path: `${url.pathname}${url.search}` };
    if (this.#made.size >= addressesMax) this.#made.clear();
    this.#made.set(path, address);
    return address;
  }
}

export const headersOf = (
  { key, wire, headers }: Endpoint,
  original: OriginalRequest | null = null,
): Record<string, string> =>
  Object.assign(
    { 'user-agent': 'coppice' },
    headers,
    wire.headers(original),
    key === null ? null : wire.keyHeaders(key),
  );

/**
 * Rejects a gateway that is its own provider: it would call itself without end, and each call would be charged. This happens easily, since clients and the gateway read the
 * same variables. An address that is certainly its own is rejected at the start; a loop through other servers is detected by a request's hops (hops.ts).
 */
import { ConfigurationError } from '@coppice/service';
import type { Address } from './doors/http/listen.ts';
import type { Endpoint } from './provider/http/endpoint.ts';

/** @throws ConfigurationError if a provider's address is one of the gateway's own. */
export function requireOthers(endpoints: readonly Endpoint[], doors: readonly Address[]): void {
  for (const { name, baseUrl } of endpoints) {
    const url = new URL(baseUrl);
    if (!doors.some((door) => isAt(url, door))) continue;
    const expected =
      "another address than this gateway's own door: what tells clients of it (ANTHROPIC_BASE_URL, OPENAI_BASE_URL, …) may not be set where the gateway starts";
    throw new ConfigurationError([{ field: `the address of the provider ${name}`, expected, received: url.host }]);
  }
}

function isAt(url: URL, door: Address): boolean {
  if ('socket' in door || url.protocol !== 'http:' || Number(url.port || 80) !== door.port) return false;
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  return host === door.host || (isOfThisMachine(host) && isOfThisMachine(door.host));
}

/** Loopback, or all interfaces of the machine. */
const isOfThisMachine = (host: string): boolean => /^(localhost|127\.\d+\.\d+\.\d+|0\.0\.0\.0|::1?)$/i.test(host);

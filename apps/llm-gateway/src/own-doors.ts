/**
 * A gateway that is its own provider asks itself without end, and each call is charged. It comes about easily: clients are told of a gateway by the variables by which it
 * is told of its providers. An address that is surely its own is refused at the start; a detour by way of others is noticed by a request's hops (hops.ts).
 */
import { ConfigurationError } from '@coppice/service';
import type { Address } from './doors/http/listen.ts';
import type { Endpoint } from './provider/http/endpoint.ts';

/** @throws ConfigurationError where a provider's address is one of these doors'. */
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

/**
 * Rejects a configuration in which a gateway is its own provider and would call itself endlessly. The mistake is easy,
 * since clients and the gateway read the same environment variables. A loop through other servers is found only when a
 * request arrives (hops.ts).
 */
import { ConfigurationError } from '@coppice/service';
import type { Address } from './listen.ts';
import type { ProviderServer } from '../../transport/provider-server.ts';

/** @throws ConfigurationError */
export function requireOthers(providerServers: readonly ProviderServer[], endpoints: readonly Address[]): void {
  for (const { name, baseUrl } of providerServers) {
    const url = new URL(baseUrl);
    if (!endpoints.some((endpoint) => isAt(url, endpoint))) continue;
    const expected =
      "another address than this gateway's own endpoint: the variables that point clients to it (ANTHROPIC_BASE_URL, OPENAI_BASE_URL, …) may not be set where the gateway starts";
    throw new ConfigurationError([{ field: `the address of the provider ${name}`, expected, received: url.host }]);
  }
}

function isAt(url: URL, endpoint: Address): boolean {
  if ('socket' in endpoint || url.protocol !== 'http:' || Number(url.port || 80) !== endpoint.port) return false;
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  return host === endpoint.host || (isOfThisMachine(host) && isOfThisMachine(endpoint.host));
}

/** Reports whether the host is a loopback address or means all interfaces of the machine. */
const isOfThisMachine = (host: string): boolean => /^(localhost|127\.\d+\.\d+\.\d+|0\.0\.0\.0|::1?)$/i.test(host);

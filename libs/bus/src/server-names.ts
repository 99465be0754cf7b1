/** Encrypted connections name their server by the name in its certificate. */
import { isIP } from 'node:net';
import { CoppiceError } from '@coppice/contracts';
import type { NatsConnection } from './nats.ts';

/**
 * The client gives Node no name to look for in a certificate then, and Node looks for "localhost": the server's own could be refused, and any other's
 * that is for that name would do.
 * @throws CoppiceError `invalid-request`
 */
export function requireNames(servers: string): void {
  const byAddress = servers.split(',').find((server) => isIP(hostOf(server.trim())) !== 0);
  if (byAddress === undefined) return;
  const text = `the connection to the NATS server at ${byAddress.trim()} is to be encrypted: expected a host name that its certificate has (NATS_URL), received an IP address`;
  throw new CoppiceError('invalid-request', text);
}

/** The same, where the server has asked for encryption by itself. */
export async function requireNamesOf(connection: NatsConnection, servers: string): Promise<void> {
  try {
    requireNames(servers);
  } catch (error) {
    await connection.close();
    throw error;
  }
}

/** Empty for what is no address: the client will say so. */
function hostOf(server: string): string {
  const url = server.includes('://') ? server : `nats://${server}`;
  return URL.canParse(url) ? new URL(url).hostname.replace(/^\[|\]$/g, '') : '';
}

/** Node advises an option of its own, and names no host that anybody has typed. */
export function withAdvice(message: string): string {
  if (/certificate/i.test(message) && /self-signed|issuer|first certificate|authority/i.test(message))
    return `${message.split(';')[0]}; NATS_CA_FILE names the authority that the server's certificate comes from`;
  if (/altnames/i.test(message)) return `${message}; NATS_URL has to name the server as its certificate does`;
  return message;
}

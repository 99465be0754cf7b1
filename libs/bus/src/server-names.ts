/** Requires host names for encrypted connections, since the client checks the server's certificate by name. */
import { isIP } from 'node:net';
import { CoppiceError } from '@coppice/contracts';
import type { NatsConnection } from './nats.ts';

/**
 * Rejects IP addresses. For an IP address, the client passes no name to Node, so Node expects a certificate for
 * "localhost". Then the right server could be refused, and any server with a certificate for "localhost" would be
 * accepted.
 * @throws CoppiceError `invalid-request`
 */
export function requireNames(servers: string): void {
  const byAddress = servers.split(',').find((server) => isIP(hostOf(server.trim())) !== 0);
  if (byAddress === undefined) return;
  const text = `the connection to the NATS server at ${byAddress.trim()} is to be encrypted: expected a host name that its certificate has (NATS_URL), received an IP address`;
  throw new CoppiceError('invalid-request', text);
}

/**
 * Closes the connection if `servers` contains an IP address. Needed after connecting, since a server may require
 * encryption that the client's settings don't request.
 */
export async function requireNamesOf(connection: NatsConnection, servers: string): Promise<void> {
  try {
    requireNames(servers);
  } catch (error) {
    await connection.close();
    throw error;
  }
}

/** Returns '' for an invalid address, which the client reports later. */
function hostOf(server: string): string {
  const url = server.includes('://') ? server : `nats://${server}`;
  return URL.canParse(url) ? new URL(url).hostname.replace(/^\[|\]$/g, '') : '';
}

/**
 * Adds the name of the Coppice setting to change. Node's own messages suggest an option of Node or quote a host name
 * that the user didn't enter.
 */
export function withAdvice(message: string): string {
  if (/certificate/i.test(message) && /self-signed|issuer|first certificate|authority/i.test(message))
    return `${message.split(';')[0]}; NATS_CA_FILE names the authority that the server's certificate comes from`;
  if (/altnames/i.test(message)) return `${message}; NATS_URL has to name the server as its certificate does`;
  return message;
}

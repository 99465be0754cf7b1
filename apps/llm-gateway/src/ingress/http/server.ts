/**
 * The HTTP servers of the façade.
 *
 * Invariants:
 * 1. Headers, bodies, requests and connections are limited in size, number and duration, so that clients can't exhaust
 *    the memory.
 * 2. stop() rejects new requests and waits up to `drainMs` for running requests. The remaining requests then end with
 *    an error.
 */
import { STATUS_CODES, createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { CoppiceError } from '@coppice/contracts';
import { inTime } from '../../awaiting.ts';
import { Phase } from '../../phases.ts';
import { Facade } from './facade.ts';
import type { FacadeCollaborators } from './facade.ts';
import { facadeLimits } from './limits.ts';
import { listen } from './listen.ts';
import type { Address } from './listen.ts';

export type RunningFacade = {
  /** Base URLs for clients; `unix:PATH` for a socket. */
  addresses: readonly string[];
  stop(): Promise<void>;
};

/** @throws ConfigurationError if an address can't be used. */
export async function startFacade(
  collaborators: FacadeCollaborators,
  addresses: readonly Address[],
  {
    drainMs = facadeLimits.drainMs,
    headersMs = facadeLimits.headersMsMax,
  }: { drainMs?: number; headersMs?: number } = {},
): Promise<RunningFacade> {
  const requests = new Requests(new Facade(collaborators));
  const servers: Server[] = [];
  try {
    for (const address of addresses) {
      const server = makeServer(requests, headersMs);
      await listen(server, address);
      servers.push(server);
    }
  } catch (error) {
    for (const server of servers) server.close();
    throw error;
  }
  return { addresses: servers.map(addressOf), stop: () => stopAll(servers, requests, drainMs) };
}

function addressOf(server: Server): string {
  const address = server.address() as AddressInfo | string;
  if (typeof address === 'string') return `unix:${address}`;
  return `http://${address.family === 'IPv6' ? `[${address.address}]` : address.address}:${address.port}`;
}

function makeServer(requests: Requests, headersMs: number): Server {
  const server = createServer(
    {
      headersTimeout: headersMs,
      connectionsCheckingInterval: headersMs / 3,
      requestTimeout: facadeLimits.requestMsMax,
      keepAliveTimeout: facadeLimits.keepAliveMsMax,
      maxHeaderSize: facadeLimits.headerBytesMax,
      noDelay: true,
    },
    (request, response) => void requests.handle(request, response),
  );
  server.maxConnections = facadeLimits.connectionsMax;
  // Codex first tries a WebSocket. If it gets status 426, it uses HTTP instead.
  server.on('upgrade', (_request, socket: Duplex) => refuseRaw(socket, 426));
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Duplex) => {
    refuseRaw(socket, statusOfParserError[error.code ?? ''] ?? 400);
  });
  return server;
}

const statusOfParserError: Readonly<Record<string, number>> = {
  HPE_HEADER_OVERFLOW: 431,
  ERR_HTTP_REQUEST_TIMEOUT: 408,
};

/** Closes the socket after `refusedMsMax`, since a client might never close it. */
function refuseRaw(socket: Duplex, status: number): void {
  socket.on('error', () => {});
  if (socket.destroyed || !socket.writable) return void socket.destroy();
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`);
  const timer = setTimeout(() => socket.destroy(), facadeLimits.refusedMsMax);
  socket.once('close', () => clearTimeout(timer));
}

async function stopAll(servers: readonly Server[], requests: Requests, drainMs: number): Promise<void> {
  requests.close();
  const closed = servers.map((server) => new Promise((resolve) => server.close(resolve)));
  for (const server of servers) server.closeIdleConnections();
  await requests.drained(drainMs);
  for (const server of servers) server.closeAllConnections();
  await Promise.all(closed);
}

const arriving = Phase.afterReading();

class Requests {
  readonly #facade: Facade;
  readonly #running = new Map<Promise<void>, AbortController>();
  #closing = false;

  constructor(facade: Facade) {
    this.#facade = facade;
  }

  close(): void {
    this.#closing = true;
  }

  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const leaving = new AbortController();
    if (this.#closing) {
      response.setHeader('connection', 'close');
      leaving.abort(new CoppiceError('unavailable', 'the gateway is stopping'));
    } else if (this.#running.size >= facadeLimits.requestsMax)
      leaving.abort(new CoppiceError('unavailable', 'too many requests at once'));
    response.on('error', () => {});
    response.once('close', () => {
      if (!response.writableFinished) leaving.abort(new CoppiceError('cancelled', 'the client disconnected'));
    });
    const handled = this.#whenOthersArrived(request, response, leaving.signal);
    this.#running.set(handled, leaving);
    await handled;
    this.#running.delete(handled);
    // Discards the unread rest of a rejected request's body, so that the client can reuse the connection.
    if (!request.complete) request.resume();
  }

  async #whenOthersArrived(request: IncomingMessage, response: ServerResponse, signal: AbortSignal): Promise<void> {
    await arriving.begun();
    await this.#facade.handle(request, response, signal);
  }

  async drained(drainMs: number): Promise<void> {
    if (await this.#endWithin(drainMs)) return;
    for (const leaving of this.#running.values())
      leaving.abort(new CoppiceError('unavailable', 'the gateway is stopping'));
    await this.#endWithin(facadeLimits.breakOffMs);
  }

  #endWithin(ms: number): Promise<boolean> {
    return inTime(Promise.all(this.#running.keys()), ms).then(
      () => true,
      () => false,
    );
  }
}

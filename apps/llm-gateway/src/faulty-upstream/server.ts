/**
 * A model server with requested faults, in every wire format. The fault comes from the model's name, or is the same for all models.
 *
 * Collaborators: the gateway's own endpoints, whose readers and writers produce everything that isn't meant to be wrong.
 *
 * Invariants:
 * 1. A request gets exactly the requested fault: everything else in the answer is as the vendor's.
 * 2. Nothing of a request is kept after its answer, and no request outlives the server.
 */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { createServer as createTlsServer } from 'node:tls';
import { CoppiceError } from '@coppice/contracts';
import { refusal } from '../ingress/http/error-response.ts';
import type { Endpoint } from '../ingress/http/endpoint.ts';
import { BodyRoom, readJsonBody } from '../ingress/http/request-body.ts';
import { endpointOf, routeOf } from '../ingress/http/routes.ts';
import type { Route } from '../ingress/http/routes.ts';
import type { WireName } from '../provider/port.ts';
import { faultNames, scenarioOf } from './faults.ts';
import type { Scenario } from './faults.ts';
import { performanceOf } from './performance.ts';
import type { Stage } from './performance.ts';
import { refusalOf } from './refusals.ts';
import type { Refusal } from './refusals.ts';
import { scriptOf } from './script.ts';

export type FaultyRequest = {
  wire: WireName;
  model: string;
  stream: boolean;
  scenario: Scenario;
  /** Resolves with `whole` if the whole answer was sent, `cut` if the server broke the connection, `left` if the client did. */
  ended: Promise<'whole' | 'cut' | 'left'>;
};

export type FaultyUpstreamSettings = {
  host?: string;
  /** 0 picks a free port. */
  port?: number;
  /** The fault for models whose names contain none, as `scenarioOf` parses it; without it such models don't exist. */
  fault?: string;
  /** Only every n-th request gets its fault, the others a good answer; default 1. */
  every?: number;
  onRequest?: (request: FaultyRequest) => void;
  /** Awaited before a started answer is cut: the client loses everything that it received and has not read. */
  beforeCut?: (request: FaultyRequest) => Promise<void>;
};

export type FaultyUpstream = AsyncDisposable & {
  /** Without a path: the wire formats add it. */
  url: string;
  /** An address where every TLS handshake fails. */
  tlsUrl: string;
  close(): Promise<void>;
};

/** @throws CoppiceError `model-not-found` for an unknown fault; the system's error if the port is in use. */
export async function startFaultyUpstream(settings: FaultyUpstreamSettings = {}): Promise<FaultyUpstream> {
  if (settings.fault !== undefined) scenarioOf(settings.fault);
  const { host = '127.0.0.1', port = 0 } = settings;
  const requests = new Requests(settings);
  const server = createServer({ noDelay: true }, (request, response) => void requests.handle(request, response));
  server.listen(port, host);
  await once(server, 'listening');
  // Without a certificate every handshake fails.
  const secured = createTlsServer({});
  secured.on('tlsClientError', (_error, socket) => socket.destroy());
  secured.listen(0, host);
  await once(secured, 'listening');
  const close = async () => {
    server.closeAllConnections();
    const closed = [server, secured].map((each) => new Promise((resolve) => each.close(resolve)));
    await Promise.all(closed);
  };
  return {
    url: `http://${addressOf(server)}`,
    tlsUrl: `https://${addressOf(secured)}`,
    close,
    [Symbol.asyncDispose]: close,
  };
}

function addressOf(server: Pick<Server, 'address'>): string {
  const { address, family, port } = server.address() as AddressInfo;
  return `${family === 'IPv6' ? `[${address}]` : address}:${port}`;
}

class Requests {
  readonly #settings: FaultyUpstreamSettings;
  readonly #room = new BodyRoom();
  #count = 0;

  constructor(settings: FaultyUpstreamSettings) {
    this.#settings = settings;
  }

  /** Never throws. */
  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on('error', () => {});
    const url = new URL(request.url ?? '/', 'http://upstream');
    const marks = { headers: request.headers, query: url.searchParams };
    const endpoint = endpointOf(url.pathname, marks);
    try {
      const found = routeOf(request.method ?? '', url.pathname, marks);
      if (found === null || !('route' in found))
        throw refusal('not-found', 404, `there is nothing at ${url.pathname} by ${request.method}`);
      const { route } = found;
      if (route.kind === 'ask') await this.#ask(route.endpoint, url, request, response);
      else send(response, whole(route));
    } catch (error) {
      const told = error instanceof CoppiceError ? error : new CoppiceError('internal', String(error));
      const { status, headers, body } = endpoint.error(told);
      send(response, { status, headers: { 'content-type': 'application/json', ...headers }, body });
    }
  }

  async #ask(endpoint: Endpoint, url: URL, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { body, bytes } = await readJsonBody(request, this.#room);
    this.#room.giveBack(bytes);
    const question = endpoint.parse(body, { path: url.pathname, query: url.searchParams, headers: {}, bytes });
    const { model, stream } = question;
    const { scenario, ended, stage } = this.#prepared(endpoint, { model, stream }, response);
    const refused = refusalOf(scenario, endpoint);
    if (refused !== null) {
      send(response, refused);
    } else {
      const script = scriptOf(question, { id: randomBytes(8).toString('hex'), model, nowMs: Date.now() });
      await performanceOf(scenario.fault)(stage(script.contentType), script, scenario.amount ?? 0);
    }
    await ended;
  }

  #prepared(endpoint: Endpoint, { model, stream }: { model: string; stream: boolean }, response: ServerResponse) {
    const scenario = this.#scenario(model);
    const { onRequest, beforeCut } = this.#settings;
    let wasCut = false;
    const { promise: ended, resolve } = Promise.withResolvers<'whole' | 'cut' | 'left'>();
    const notWhole = () => (wasCut ? 'cut' : 'left');
    response.once('close', () => resolve(response.writableFinished ? 'whole' : notWhole()));
    const told = { wire: endpoint.wire, model, stream, scenario, ended };
    onRequest?.(told);
    const cut = async () => {
      if (response.headersSent) await beforeCut?.(told);
      wasCut = true;
      response.destroy();
    };
    return { scenario, ended, stage: (contentType: string) => stageOn(response, { contentType, ended, cut }) };
  }

  /** @throws CoppiceError `model-not-found`. */
  #scenario(model: string): Scenario {
    const { fault, every = 1 } = this.#settings;
    const scenario = fault === undefined ? scenarioOf(model) : (scenarioNamed(model) ?? scenarioOf(fault));
    return this.#count++ % every === every - 1 ? scenario : { fault: 'healthy', amount: null };
  }
}

/** Null if the model's name isn't a fault. */
function scenarioNamed(model: string): Scenario | null {
  try {
    return scenarioOf(model);
  } catch {
    return null;
  }
}

type StageSettings = { contentType: string; ended: Promise<unknown>; cut: () => Promise<void> };

function stageOn(response: ServerResponse, { contentType, ended, cut }: StageSettings): Stage {
  const left = new AbortController();
  void ended.then(() => left.abort());
  return {
    begin() {
      response.writeHead(200, { 'content-type': contentType });
      response.flushHeaders();
    },
    // Don't wait for a write after the connection ended.
    say: (text) =>
      text.length === 0
        ? Promise.resolve()
        : Promise.race([new Promise<void>((resolve) => response.write(text, () => resolve())), ended.then(() => {})]),
    end: () => void response.end(),
    cut,
    // A disconnected client ends the wait; later writes go nowhere.
    wait: (ms) => sleep(ms, undefined, { signal: left.signal }).catch(() => {}),
    stall: () => ended.then(() => {}),
  };
}

function send(response: ServerResponse, { status, headers, body }: Refusal): void {
  if (response.headersSent) return void response.destroy();
  response.writeHead(status, headers);
  response.end(typeof body === 'string' ? body : JSON.stringify(body));
}

/** Responses to other requests: the health check, the list of models, and the count of tokens. */
function whole(route: Exclude<Route, { kind: 'ask' }>): Refusal {
  const headers = { 'content-type': 'application/json' };
  if (route.kind === 'alive') return { status: 200, headers: {}, body: 'The faulty upstream is running' };
  if (route.kind === 'count') return { status: 200, headers, body: route.answer(1) };
  const at = { nowMs: Date.now() };
  const { listing, model } = route;
  return { status: 200, headers, body: model === null ? listing.list(faultNames, at) : listing.one(model, at) };
}

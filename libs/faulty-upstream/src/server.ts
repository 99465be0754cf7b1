/**
 * A model server with chosen faults, in every wire format. The model's name selects the fault, or one fault is set for
 * all models.
 *
 * Collaborators: the wire formats (`formats/registry.ts`), which write correct answers; the faults, which change these
 * answers.
 *
 * Invariants:
 * 1. A request gets exactly the chosen fault. Everything else in the answer is as the vendor sends it.
 * 2. No data of a request is kept after its answer, and no request outlives the server.
 */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { createServer as createTlsServer } from 'node:tls';
import { CoppiceError } from '@coppice/contracts';
import { faultNames, scenarioOf } from './faults.ts';
import type { Scenario } from './faults.ts';
import type { Fields, Format, FormatName, RequestLine } from './format.ts';
import { formats } from './formats/registry.ts';
import { openAiChat } from './formats/openai-chat.ts';
import { performanceOf } from './performance.ts';
import type { Stage } from './performance.ts';
import { refusal, refusalOf } from './refusals.ts';
import type { Refusal } from './refusals.ts';
import { scriptOf } from './script.ts';

export type FaultyRequest = {
  wire: FormatName;
  model: string;
  stream: boolean;
  scenario: Scenario;
  /**
   * Resolves with `whole` if the whole answer was sent, with `cut` if the server broke the connection, or with `left`
   * if the client closed it.
   */
  ended: Promise<'whole' | 'cut' | 'left'>;
};

export type FaultyUpstreamSettings = {
  host?: string;
  /** Default: 0, which selects a free port. */
  port?: number;
  /** Fault for models whose names contain no fault, as `scenarioOf` parses it. Default: such models don't exist. */
  fault?: string;
  /** Only every n-th request gets its fault, and the others get a correct answer. Default: 1. */
  every?: number;
  onRequest?: (request: FaultyRequest) => void;
  /**
   * Awaited before a started answer is cut. A cut discards everything that the client has received and not yet read.
   */
  beforeCut?: (request: FaultyRequest) => Promise<void>;
};

export type FaultyUpstream = AsyncDisposable & {
  /** Base URL without a path, since the path depends on the wire format. */
  url: string;
  /** Base URL at which every TLS handshake fails. */
  tlsUrl: string;
  close(): Promise<void>;
};

/** @throws CoppiceError `model-not-found` for an unknown fault, or the system's error if the port is in use. */
export async function startFaultyUpstream(settings: FaultyUpstreamSettings = {}): Promise<FaultyUpstream> {
  if (settings.fault !== undefined) scenarioOf(settings.fault);
  const { host = '127.0.0.1', port = 0 } = settings;
  const requests = new Requests(settings);
  const server = createServer({ noDelay: true }, (request, response) => void requests.handle(request, response));
  server.listen(port, host);
  await once(server, 'listening');
  // The server has no certificate, so every handshake fails.
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
  #count = 0;

  constructor(settings: FaultyUpstreamSettings) {
    this.#settings = settings;
  }

  /** Never throws. */
  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on('error', () => {});
    const { pathname: path, searchParams: query } = new URL(request.url ?? '/', 'http://upstream');
    const line = { method: request.method ?? '', path, query, headers: request.headers };
    const format = formats.find((each) => each.kind(line) !== null);
    try {
      if (format !== undefined) await this.#answer(format, line, request, response);
      else if (path === '/') send(response, { status: 200, headers: {}, body: 'The faulty upstream is running' });
      else send(response, refusal(openAiChat, 404, `there is nothing at ${path} by ${line.method}`));
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      send(response, refusal(format ?? openAiChat, statusOf(error), message));
    }
  }

  async #answer(format: Format, line: RequestLine, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const kind = format.kind(line);
    if (kind === 'models') return sendJson(response, format.models(faultNames));
    const body = await readBody(request);
    if (kind === 'token-count') return sendJson(response, format.tokenCount ?? {});
    const { model, stream } = format.read(line, body);
    if (typeof model !== 'string') throw new CoppiceError('invalid-request', 'model: expected a text');
    const { scenario, ended, stage } = this.#prepared(format, { model, stream }, response);
    const refused = refusalOf(scenario, format);
    if (refused !== null) {
      send(response, refused);
    } else {
      const id = randomBytes(8).toString('hex');
      const script = scriptOf(format, { model, stream, body, query: line.query, id, now: new Date() });
      await performanceOf(scenario.fault)(stage(script.contentType), script, scenario.amount ?? 0);
    }
    await ended;
  }

  #prepared(format: Format, { model, stream }: { model: string; stream: boolean }, response: ServerResponse) {
    const scenario = this.#scenario(model);
    const { onRequest, beforeCut } = this.#settings;
    let wasCut = false;
    const { promise: ended, resolve } = Promise.withResolvers<'whole' | 'cut' | 'left'>();
    const notWhole = () => (wasCut ? 'cut' : 'left');
    response.once('close', () => resolve(response.writableFinished ? 'whole' : notWhole()));
    const report = { wire: format.name, model, stream, scenario, ended };
    onRequest?.(report);
    const cut = async () => {
      if (response.headersSent) await beforeCut?.(report);
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
    // A write never finishes after the connection has ended, so `say` also returns then.
    say: (text) =>
      text.length === 0
        ? Promise.resolve()
        : Promise.race([new Promise<void>((resolve) => response.write(text, () => resolve())), ended.then(() => {})]),
    end: () => void response.end(),
    cut,
    // The error may be ignored, since writes have no effect after the client has disconnected.
    wait: (ms) => sleep(ms, undefined, { signal: left.signal }).catch(() => {}),
    stall: () => ended.then(() => {}),
  };
}

function send(response: ServerResponse, { status, headers, body }: Refusal): void {
  if (response.headersSent) return void response.destroy();
  response.writeHead(status, headers);
  response.end(typeof body === 'string' ? body : JSON.stringify(body));
}

const sendJson = (response: ServerResponse, body: object): void =>
  send(response, { status: 200, headers: { 'content-type': 'application/json' }, body });

const statuses: Readonly<Partial<Record<string, number>>> = {
  'invalid-request': 400,
  'model-not-found': 404,
  'limit-exceeded': 413,
};

const statusOf = (error: unknown): number => (error instanceof CoppiceError ? (statuses[error.code] ?? 500) : 500);

const bodyBytesMax = 64 * 1024 * 1024;

/** @throws CoppiceError `invalid-request` or `limit-exceeded`. */
async function readBody(request: IncomingMessage): Promise<Fields> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of request as AsyncIterable<Buffer>) {
    bytes += piece.length;
    if (bytes > bodyBytesMax) throw new CoppiceError('limit-exceeded', `the body has more than ${bodyBytesMax} bytes`);
    pieces.push(piece);
  }
  try {
    return Object(JSON.parse(Buffer.concat(pieces).toString())) as Fields;
  } catch (error) {
    throw new CoppiceError('invalid-request', 'the body is not valid JSON', { cause: error });
  }
}

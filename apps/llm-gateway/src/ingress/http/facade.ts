/**
 * Handles one HTTP request.
 *
 * Collaborators: the tokens; the exchange with the providers (`call`); the stored items; one `Endpoint` per wire
 * format.
 *
 * Invariants:
 * 1. Without a valid token, a client learns only that the gateway is running and which paths and methods it has. The
 *    request's body isn't read.
 * 2. If the client disconnects or the façade aborts the request, the exchange and its request to the provider end at
 *    once.
 * 3. The query and the headers of a request are never logged, since they may contain a token.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { CoppiceError } from '@coppice/contracts';
import type { FieldIssue, TokenGrant } from '@coppice/contracts';
import type { Logger } from '@coppice/telemetry';
import type { Call, Exchange } from '../../routing/exchange.ts';
import { hopsOf, isTooFar } from './hops.ts';
import type { ResolvedModel, Routes } from '../../routing/routes.ts';
import { estimatedTokens } from '../../usage.ts';
import { loggedCall } from '../call-log.ts';
import { AnswerSender } from './answer.ts';
import { cacheHeader, wholeAnswerHeaders } from './answer-headers.ts';
import { refusal } from './error-response.ts';
import type { RequestParts, Endpoint, Question } from './endpoint.ts';
import { fieldsOf } from './fields.ts';
import type { KeptItems } from './kept-items.ts';
import { facadeLimits } from './limits.ts';
import { Outlet } from './response-stream.ts';
import { bodyRoom, readJsonBody } from './request-body.ts';
import type { JsonBody } from './request-body.ts';
import { inRequestSpan } from './request-span.ts';
import { tokenOf } from './request-token.ts';
import { endpointOf, routeOf } from './routes.ts';
import type { Route } from './routes.ts';
import type { Granted, Tokens } from './tokens.ts';

export type FacadeCollaborators = {
  tokens: Pick<Tokens, 'verify'>;
  log: Pick<Logger, 'info' | 'error'>;
  items: Pick<KeptItems, 'keep' | 'named'>;
  call(call: Call, grant: Granted): Exchange;
  routes: Pick<Routes, 'fullName' | 'knows' | 'resolve'>;
  /** Returns the names of the models and aliases. */
  models(signal: AbortSignal): Promise<readonly string[]>;
};

type Incoming = {
  route: Route;
  parts: Omit<RequestParts, 'bytes'>;
  grant: Granted;
  request: IncomingMessage;
  outlet: Outlet;
  signal: AbortSignal;
  /** Once `begun` is true, `loggedCall` logs the outcome of the request. */
  call: { begun: boolean };
};

export class Facade {
  readonly #with: FacadeCollaborators;
  readonly #room = bodyRoom();

  constructor(collaborators: FacadeCollaborators) {
    this.#with = collaborators;
  }

  /** Never throws. `signal` is aborted when the client disconnects or the façade stops. */
  async handle(request: IncomingMessage, response: ServerResponse, signal: AbortSignal): Promise<void> {
    const outlet = new Outlet(response, signal);
    const { pathname: path, searchParams: query } = addressOf(request);
    const marks = { headers: request.headers, query };
    try {
      signal.throwIfAborted();
      const found = routeOf(request.method ?? '', path, marks);
      if (found === null) throw refusal('not-found', 404, `there is nothing at ${path}`);
      if (!('route' in found)) throw refusal('invalid-request', 405, `${path} takes ${found.methods.join(', ')}`);
      const { route, name } = found;
      if (route.kind === 'alive') return outlet.whole(200, { 'content-type': 'text/plain' }, 'Coppice is running');
      const grant = await this.#with.tokens.verify(tokenOf(request.headers, query));
      const headers = headersFor(route.endpoint, request);
      const incoming = {
        route,
        parts: { path, query, headers },
        grant,
        request,
        outlet,
        signal,
        call: { begun: false },
      };
      await inRequestSpan({ name, grant, request }, () => this.#answerOrLog(incoming));
    } catch (error) {
      if (signal.aborted && response.destroyed) return;
      this.#refuse(endpointOf(path, marks), outlet, this.#coppiceError(error, path));
    }
  }

  /** Answers the request. Logs a rejection before the model call, with the request id that the client gets. */
  async #answerOrLog(incoming: Incoming): Promise<void> {
    try {
      await this.#answer(incoming);
    } catch (error) {
      const { call, grant, outlet, parts } = incoming;
      const { tenant, runId, taskId } = grant;
      const about = {
        endpoint: 'http',
        owner: { tenant, runId, taskId },
        effectId: `http_${outlet.id}`,
        path: parts.path,
      };
      const code = error instanceof CoppiceError ? error.code : 'internal';
      if (!call.begun) this.#with.log.info({ ...about, error: code }, 'a request was refused');
      throw error;
    }
  }

  async #answer(incoming: Incoming): Promise<void> {
    const { route, request, outlet } = incoming;
    if (route.kind === 'models') return this.#listModels(route, incoming);
    if (route.kind === 'alive') return;
    const { body, bytes } = await readJsonBody(request, this.#room);
    try {
      if (route.kind === 'call') await this.#call(route.endpoint, { body, bytes }, incoming);
      else this.#sendJson(outlet, route.answer(estimatedTokens(bytes)));
    } finally {
      this.#room.giveBack(bytes);
    }
  }

  /**
   * Replaces the body's references to stored items by the items, as far as they fit in the body's limit, and calls the
   * model.
   */
  async #call(endpoint: Endpoint, received: JsonBody, incoming: Incoming): Promise<void> {
    const { references } = endpoint;
    if (references === undefined) return this.#callWhole(endpoint, received, incoming);
    const { own, passed } = references.named(received.body);
    const requestedModel = fieldsOf(received.body)['model'];
    const model =
      passed.length > 0 && typeof requestedModel === 'string'
        ? this.#resolve(requestedModel, endpoint, incoming.grant)
        : null;
    const keys = model !== null && hasOthers(model, endpoint) ? [...own, ...passed] : own;
    if (keys.length === 0) return this.#callWhole(endpoint, received, incoming, model);
    const { tenant } = incoming.grant;
    const bytesMax = facadeLimits.bodyBytesMax - received.bytes;
    const { items, bytes } = await this.#with.items.named(tenant, keys, { bytesMax, room: this.#room });
    try {
      const whole = { body: references.put(received.body, items), bytes: received.bytes + bytes };
      await this.#callWhole(endpoint, whole, { ...incoming, parts: { ...incoming.parts, items } }, model);
    } finally {
      this.#room.giveBack(bytes);
    }
  }

  /** @param resolved the body's model, if the caller has already resolved it */
  async #callWhole(
    endpoint: Endpoint,
    { body, bytes }: JsonBody,
    incoming: Incoming,
    resolved: ResolvedModel | null = null,
  ): Promise<void> {
    const { parts, grant, request: httpRequest, outlet, signal } = incoming;
    const hops = hopsOf(httpRequest.headers);
    requireNear(hops);
    const question = endpoint.parse(body, { ...parts, bytes });
    const model = resolved ?? this.#resolve(question.model, endpoint, grant);
    const request = mayBeCached(question, httpRequest) ? question.request : uncached(question.request);
    const others = hasOthers(model, endpoint);
    if (others) requireTranslatable(question, model.name);
    const { id } = outlet;
    const { tenant, runId, taskId } = grant;
    const call = {
      model,
      request,
      context: { owner: { tenant, runId, taskId }, effectId: `http_${id}`, signal, hops },
      endsAtMs: Date.now() + facadeLimits.answerMsMax,
    };
    const exchange = this.#with.call(call, grant);
    const sender = new AnswerSender({
      question,
      writer: question.writer({ id, model: question.model, nowMs: Date.now() }),
      outlet,
      exchange,
      keep: (kept) => this.#with.items.keep(tenant, kept),
      keepsPassed: others,
    });
    const about = {
      endpoint: 'http' as const,
      requestedModel: question.model,
      owner: call.context.owner,
      effectId: call.context.effectId,
    };
    incoming.call.begun = true;
    try {
      await loggedCall(this.#with.log, about, exchange.result, () => sender.send());
    } catch (error) {
      if (!outlet.begun) {
        outlet.addHeaders(wholeAnswerHeaders(exchange.result));
        throw withAliasHint(error, question.model, model.name);
      }
      await sender.endEarly(this.#coppiceError(error, parts.path));
    }
  }

  /** @throws CoppiceError if the token doesn't allow the model, the name is too long, or no provider has the model. */
  #resolve(name: string, endpoint: Endpoint, { models }: TokenGrant): ResolvedModel {
    const model = this.#fullName(name, endpoint);
    // A script is a file on this machine, so a token allows a script only if it names the script.
    const granted = models === undefined ? !model.startsWith('scripted/') : names(models, name, model);
    if (granted && !model.startsWith('scripted//')) return this.#with.routes.resolve(model);
    const named = models === undefined && !model.startsWith('scripted//');
    const why = named ? `: a script is only for tokens that name it ("coppice token --model ${model}")` : '';
    throw refusal('permission-denied', 403, `this token is not for the model ${JSON.stringify(model)}${why}`);
  }

  /** @throws CoppiceError if the name is too long. */
  #fullName(name: string, { provider }: Endpoint): string {
    requireShort(name);
    return this.#with.routes.fullName(name, provider);
  }

  async #listModels(
    { endpoint, listing, model }: Extract<Route, { kind: 'models' }>,
    { grant, outlet, signal }: Incoming,
  ): Promise<void> {
    const at = { nowMs: Date.now() };
    const all = grant.models ?? (await this.#with.models(signal));
    if (model === null) return this.#sendJson(outlet, listing.list(all, at));
    const full = this.#fullName(model, endpoint);
    if (!names(all, model, full) && (grant.models !== undefined || !this.#with.routes.knows(full)))
      throw new CoppiceError('model-not-found', `there is no model ${JSON.stringify(model)}`);
    this.#sendJson(outlet, listing.one(model, at));
  }

  #sendJson(outlet: Outlet, body: object): void {
    outlet.whole(200, { 'content-type': 'application/json; charset=utf-8' }, JSON.stringify(body));
  }

  #refuse(endpoint: Endpoint, outlet: Outlet, error: CoppiceError): void {
    if (outlet.begun) return void outlet.breakOff('');
    const { status, headers, body } = endpoint.error(error);
    outlet.whole(status, { 'content-type': 'application/json; charset=utf-8', ...headers }, JSON.stringify(body));
  }

  /** Logs an unexpected error and hides its content from the client. */
  #coppiceError(error: unknown, path: string): CoppiceError {
    if (error instanceof CoppiceError) return error;
    this.#with.log.error({ err: error, path }, 'a request over HTTP failed');
    return new CoppiceError('internal', 'a defect in the gateway; see its log');
  }
}

/** Reports whether a provider of another wire format may get the request. */
const hasOthers = ({ routes }: ResolvedModel, { wire }: Endpoint): boolean =>
  routes.some(({ provider }) => provider.wire !== wire);

/** @throws CoppiceError if the request has fields that another wire format can't express. */
function requireTranslatable({ untranslatable }: Question, model: string): void {
  if (untranslatable.length === 0) return;
  const issues: FieldIssue[] = [...untranslatable];
  const [{ field, expected, received }] = issues as [FieldIssue, ...FieldIssue[]];
  const message = `${field}: expected ${expected}, received ${received}: ${model} may get the request in another wire format, which can't express it`;
  throw new CoppiceError('invalid-request', message, { details: { issues } });
}

/**
 * @throws CoppiceError if the request came through too many gateways. The code is `invalid-request`, since no gateway
 * retries it.
 */
function requireNear(hops: number): void {
  if (!isTooFar(hops)) return;
  const text = `the request came through ${hops} gateways: the address of a provider of one of them is most likely a gateway's own endpoint`;
  throw new CoppiceError('invalid-request', text);
}

/** @throws CoppiceError */
function requireShort(model: string): void {
  const { modelCharactersMax } = facadeLimits;
  if (model.length <= modelCharactersMax) return;
  const expected = `at most ${modelCharactersMax} characters`;
  const issues: FieldIssue[] = [{ field: 'model', expected, received: String(model.length) }];
  const message = `the request: model: expected ${expected}, received ${model.length}`;
  throw new CoppiceError('invalid-request', message, { details: { issues } });
}

/** Adds a hint to the error if the requested name may be a misspelt alias. */
function withAliasHint(error: unknown, requestedModel: string, model: string): unknown {
  if (!(error instanceof CoppiceError) || requestedModel === model) return error;
  const { code, retryable, details } = error;
  const isUnknown = code === 'model-not-found' || details?.['priceUnknown'] === true;
  if (!isUnknown && details?.['keyRequired'] === undefined) return error;
  const text = `${error.message} (${JSON.stringify(requestedModel)} is not an alias here, and was treated as ${model})`;
  return new CoppiceError(code, text, { cause: error, retryable, ...(details === undefined ? {} : { details }) });
}

const names = (models: readonly string[], written: string, full: string): boolean =>
  models.includes(written) || models.includes(full);

const addressOf = ({ url = '/' }: IncomingMessage): URL =>
  URL.parse(url, 'http://gateway') ?? new URL('http://gateway/');

function headersFor(endpoint: Endpoint, request: IncomingMessage): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const name of endpoint.headers) {
    const value = request.headers[name];
    if (typeof value === 'string') headers[name] = value;
  }
  return headers;
}

/**
 * Reports whether the answer may come from the cache. An untranslatable request never gets a cached answer, since it
 * may reference data that the vendor stores and that may change.
 * @throws CoppiceError if the header is set to anything but `off`
 */
function mayBeCached({ untranslatable }: Question, { headers }: IncomingMessage): boolean {
  const wish = headers[cacheHeader];
  if (wish === undefined) return untranslatable.length === 0;
  if (wish === 'off') return false;
  const received = JSON.stringify(wish);
  const issues: FieldIssue[] = [{ field: cacheHeader, expected: 'off', received }];
  const message = `the header ${cacheHeader}: expected off, received ${received}`;
  throw new CoppiceError('invalid-request', message, { details: { issues } });
}

const uncached = <Request extends Question['request']>(request: Request): Request => ({
  ...request,
  settings: { ...request.settings, cache: false },
});

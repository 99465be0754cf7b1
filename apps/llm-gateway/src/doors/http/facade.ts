/**
 * What happens to one HTTP request: who asks, what, of which model; and the answer.
 *
 * Collaborators: the tokens; whoever asks providers (`ask`); the doors, which know the wires.
 *
 * Invariants:
 * 1. Nobody without a token is told or asked anything, beyond that somebody is there; nor is a body read.
 * 2. A client that leaves, and the end of the façade, end the exchange, and with it the upstream call, at once.
 * 3. Nothing of a request is logged but its path and its model; neither its query nor its headers, where a token may be.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { CoppiceError } from '@coppice/contracts';
import type { FieldIssue, TokenGrant } from '@coppice/contracts';
import type { Logger } from '@coppice/telemetry';
import type { Call, Exchange } from '../../exchange/exchange.ts';
import { hopsOf, isTooFar } from '../../hops.ts';
import type { WireName } from '../../provider/port.ts';
import { estimatedTokens } from '../../usage.ts';
import { loggedCall } from '../call-log.ts';
import { AnswerSender } from './answer.ts';
import { cacheHeader, wholeAnswerHeaders } from './answer-headers.ts';
import { refusal } from './complaint.ts';
import type { Asked, Door, Question } from './door.ts';
import { fieldsOf } from './fields.ts';
import type { KeptItems } from './kept-items.ts';
import { facadeLimits } from './limits.ts';
import { Outlet } from './outlet.ts';
import { BodyRoom, readJsonBody } from './request-body.ts';
import type { JsonBody } from './request-body.ts';
import { inRequestSpan } from './request-span.ts';
import { tokenOf } from './request-token.ts';
import { doorOf, routeOf } from './routes.ts';
import type { Route } from './routes.ts';
import type { Granted, Tokens } from './tokens.ts';

export type FacadeCollaborators = {
  tokens: Pick<Tokens, 'verify'>;
  log: Pick<Logger, 'info' | 'error'>;
  /** What clients may name by its id. */
  items: Pick<KeptItems, 'keep' | 'named'>;
  ask(call: Call, grant: Granted): Exchange;
  /** The wires of the providers that may be asked for this model; null of one that is asked in none. @throws CoppiceError `model-not-found`. */
  wiresOf(model: string): readonly (WireName | null)[];
  /** Whether it is a model's full name, or an alias. */
  isModel(name: string): boolean;
  /** What can be named. */
  models(signal: AbortSignal): Promise<readonly string[]>;
};

type Incoming = {
  route: Route;
  asked: Omit<Asked, 'bytes'>;
  grant: Granted;
  request: IncomingMessage;
  outlet: Outlet;
  signal: AbortSignal;
  /** From then on it has a line of its own in the log. */
  call: { begun: boolean };
};

export class Facade {
  readonly #with: FacadeCollaborators;
  readonly #room = new BodyRoom();

  constructor(collaborators: FacadeCollaborators) {
    this.#with = collaborators;
  }

  /** Never throws. `signal` is aborted when the client leaves or the façade ends. */
  async handle(request: IncomingMessage, response: ServerResponse, signal: AbortSignal): Promise<void> {
    const outlet = new Outlet(response, signal);
    const { pathname: path, searchParams: query } = addressOf(request.url ?? '/');
    const marks = { headers: request.headers, query };
    try {
      signal.throwIfAborted();
      const found = routeOf(request.method ?? '', path, marks);
      if (found === null) throw refusal('not-found', 404, `there is nothing at ${path}`);
      if (!('route' in found)) throw refusal('invalid-request', 405, `${path} takes ${found.methods.join(', ')}`);
      const { route, name } = found;
      if (route.kind === 'alive') return outlet.whole(200, { 'content-type': 'text/plain' }, 'Coppice is running');
      const grant = await this.#with.tokens.verify(tokenOf(request.headers, query));
      const headers = headersFor(route.door, request);
      const incoming = {
        route,
        asked: { path, query, headers },
        grant,
        request,
        outlet,
        signal,
        call: { begun: false },
      };
      await inRequestSpan({ name, grant, request }, () => this.#answerOrLog(incoming));
    } catch (error) {
      if (signal.aborted && response.destroyed) return;
      this.#refuse(doorOf(path, marks), outlet, this.#told(error, path));
    }
  }

  /** What is refused before it is a call is told in the log, too, by the id that its client is told. */
  async #answerOrLog(incoming: Incoming): Promise<void> {
    try {
      await this.#answer(incoming);
    } catch (error) {
      const { call, grant, outlet, asked } = incoming;
      const { tenant, runId, taskId } = grant;
      const about = { door: 'http', owner: { tenant, runId, taskId }, effectId: `http_${outlet.id}`, path: asked.path };
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
      if (route.kind === 'ask') await this.#ask(route.door, { body, bytes }, incoming);
      else this.#sendJson(outlet, route.answer(estimatedTokens(bytes)));
    } finally {
      this.#room.giveBack(bytes);
    }
  }

  /** What the body names of answers that were told is put into it, where there is room. */
  async #ask(door: Door, told: JsonBody, incoming: Incoming): Promise<void> {
    const { references } = door;
    const { own, passed } = references?.named(told.body) ?? { own: [], passed: [] };
    const keys = passed.length > 0 && this.#othersAnswer(told.body, door, incoming.grant) ? [...own, ...passed] : own;
    if (references === undefined || keys.length === 0) return this.#askWhole(door, told, incoming);
    const { tenant } = incoming.grant;
    const bytesMax = facadeLimits.bodyBytesMax - told.bytes;
    const { items, bytes } = await this.#with.items.named(tenant, keys, { bytesMax, room: this.#room });
    try {
      const whole = { body: references.put(told.body, items), bytes: told.bytes + bytes };
      await this.#askWhole(door, whole, { ...incoming, asked: { ...incoming.asked, items } });
    } finally {
      this.#room.giveBack(bytes);
    }
  }

  async #askWhole(door: Door, { body, bytes }: JsonBody, incoming: Incoming): Promise<void> {
    const { asked, grant, request: httpRequest, outlet, signal } = incoming;
    const hops = hopsOf(httpRequest.headers);
    requireNear(hops);
    const question = door.parse(body, { ...asked, bytes });
    const model = this.#modelOf(question.model, door, grant);
    const request = mayBeCached(question, httpRequest) ? question.request : uncached(question.request);
    const others = this.#hasOthers(model, door);
    if (others) requireTranslatable(question, model);
    const { id } = outlet;
    const { tenant, runId, taskId } = grant;
    const call = {
      model,
      request,
      context: { owner: { tenant, runId, taskId }, effectId: `http_${id}`, signal, hops },
      endsAtMs: Date.now() + facadeLimits.answerMsMax,
    };
    const exchange = this.#with.ask(call, grant);
    const writer = question.writer({ id, model: question.model, nowMs: Date.now() });
    const sender = new AnswerSender(question, writer, {
      outlet,
      exchange,
      keep: (kept) => this.#with.items.keep(tenant, kept),
      keepsPassed: others,
    });
    const about = {
      door: 'http' as const,
      asked: question.model,
      owner: call.context.owner,
      effectId: call.context.effectId,
    };
    incoming.call.begun = true;
    try {
      await loggedCall(this.#with.log, about, exchange.result, () => sender.send());
    } catch (error) {
      if (!outlet.begun) {
        outlet.addHeaders(wholeAnswerHeaders(exchange.result));
        throw takenFor(error, question.model, model);
      }
      await sender.endEarly(this.#told(error, asked.path));
    }
  }

  /** @throws CoppiceError where the token isn't for it, or no model has so long a name. */
  #modelOf(name: string, door: Door, { models }: TokenGrant): string {
    const model = this.#fullName(name, door);
    // Scripts are files of this machine, for whoever owns it: what a token doesn't name is none of its holder's business.
    const granted = models === undefined ? !model.startsWith('scripted/') : names(models, name, model);
    if (granted && !model.startsWith('scripted//')) return model;
    const named = models === undefined && !model.startsWith('scripted//');
    const why = named ? `: a script is only for tokens that name it ("coppice token --model ${model}")` : '';
    throw refusal('permission-denied', 403, `this token is not for the model ${JSON.stringify(model)}${why}`);
  }

  /** A bare name is the vendor's own, as its clients write it. @throws CoppiceError where no model has so long a name. */
  #fullName(name: string, door: Door): string {
    requireShort(name);
    // Who wrote `fast@acme` meant the alias, also where it has no such provider.
    const isAlias = this.#with.isModel(name) || this.#with.isModel(name.split('@')[0] ?? '');
    return isAlias || name.includes('/') ? name : `${door.provider}/${name}`;
  }

  /** Whether a provider of another wire may be asked. */
  #hasOthers(model: string, { wire }: Door): boolean {
    return this.#with.wiresOf(model).some((each) => each !== wire);
  }

  #othersAnswer(body: unknown, door: Door, grant: Granted): boolean {
    const { model } = fieldsOf(body);
    return typeof model === 'string' && this.#hasOthers(this.#modelOf(model, door, grant), door);
  }

  async #listModels(
    { door, listing, model }: Extract<Route, { kind: 'models' }>,
    { grant, outlet, signal }: Incoming,
  ): Promise<void> {
    const at = { nowMs: Date.now() };
    const all = grant.models ?? (await this.#with.models(signal));
    if (model === null) return this.#sendJson(outlet, listing.list(all, at));
    const full = this.#fullName(model, door);
    if (!names(all, model, full) && (grant.models !== undefined || !this.#with.isModel(full)))
      throw new CoppiceError('model-not-found', `there is no model ${JSON.stringify(model)}`);
    this.#sendJson(outlet, listing.one(model, at));
  }

  #sendJson(outlet: Outlet, body: object): void {
    outlet.whole(200, { 'content-type': 'application/json; charset=utf-8' }, JSON.stringify(body));
  }

  #refuse(door: Door, outlet: Outlet, error: CoppiceError): void {
    if (outlet.begun) return void outlet.breakOff('');
    const { status, headers, body } = door.error(error);
    outlet.whole(status, { 'content-type': 'application/json; charset=utf-8', ...headers }, JSON.stringify(body));
  }

  /** What a client is told of a defect is that it is one. */
  #told(error: unknown, path: string): CoppiceError {
    if (error instanceof CoppiceError) return error;
    this.#with.log.error({ err: error, path }, 'a request over HTTP failed');
    return new CoppiceError('internal', 'a defect in the gateway; its log tells more');
  }
}

/** @throws CoppiceError where the request says what a provider of another wire has no words for. */
function requireTranslatable({ untranslatable }: Question, model: string): void {
  if (untranslatable.length === 0) return;
  const issues: FieldIssue[] = [...untranslatable];
  const [{ field, expected, received }] = issues as [FieldIssue, ...FieldIssue[]];
  const message = `${field}: expected ${expected}, received ${received}: ${model} may be asked in another format than this one, which has no words for it`;
  throw new CoppiceError('invalid-request', message, { details: { issues } });
}

/** @throws CoppiceError, in a form that no gateway tries again. */
function requireNear(hops: number): void {
  if (!isTooFar(hops)) return;
  const text = `the request came through ${hops} gateways: the address of a provider of one of them is most likely a gateway's own door`;
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

/** A misspelt alias was taken for a model of the door's vendor: who can't be asked for that is told so. */
function takenFor(error: unknown, asked: string, model: string): unknown {
  if (!(error instanceof CoppiceError) || asked === model) return error;
  const { code, retryable, details } = error;
  const isUnknown = code === 'model-not-found' || details?.['priceUnknown'] === true;
  if (!isUnknown && details?.['keyRequired'] === undefined) return error;
  const text = `${error.message} (${JSON.stringify(asked)} is no alias here, and was taken as ${model})`;
  return new CoppiceError(code, text, { cause: error, retryable, ...(details === undefined ? {} : { details }) });
}

/** By the name that the client wrote, or the full one. */
const names = (models: readonly string[], written: string, full: string): boolean =>
  models.includes(written) || models.includes(full);

const nothingAsked = new URLSearchParams();

function addressOf(target: string): Pick<URL, 'pathname' | 'searchParams'> {
  // Of most nothing is to be decoded, nor resolved.
  if (/^(?:\/[a-z0-9_]+)+$/.test(target)) return { pathname: target, searchParams: nothingAsked };
  return URL.parse(target, 'http://gateway') ?? new URL('http://gateway/');
}

function headersFor(door: Door, request: IncomingMessage): Record<string, string> {
  const told: Record<string, string> = {};
  for (const name of door.headers) {
    const value = request.headers[name];
    if (typeof value === 'string') told[name] = value;
  }
  return told;
}

/** What a vendor keeps for a client, and the request only names, may be another thing the next time. @throws CoppiceError where the client's wish isn't one. */
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

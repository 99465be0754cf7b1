import { setImmediate as sent } from 'node:timers/promises';
import { CoppiceError } from '@coppice/contracts';
import type { Admission } from '@coppice/service';
import { hopsHeader } from '../ingress/http/hops.ts';
import type { ModelDelta, ModelDeltas, ModelRequest, Provider, RequestContext } from '../provider/port.ts';
import { AnswerStream } from './answer-stream.ts';
import { HttpClient, HttpFailed, wholeText } from './client.ts';
import type { HttpAnswer } from './client.ts';
import { describeServer } from './describe.ts';
import type { ProviderServer } from './provider-server.ts';
import { addressOf, headersOf } from './provider-server.ts';
import { providerError } from './errors.ts';
import { EventTooLarge } from './event-reader.ts';
import { HalfRead, halfReadRoom } from './partial-answers.ts';
import { jsonOf } from './json.ts';
import { httpLimits } from './limits.ts';
import { Patience } from './time-limits.ts';
import type { PatienceLimits } from './time-limits.ts';
import { one, usedUpMs } from './retry-after.ts';
import type { AnswerReader } from './wire.ts';

/**
 * Creates a provider over HTTP. It does the I/O, and the wire format maps requests and answers. All providers of a
 * gateway share `room`, the memory for partly received answers.
 */
export function httpProvider(
  providerServer: ProviderServer,
  limits: Partial<PatienceLimits> = {},
  room = halfReadRoom(),
): Provider {
  const http = new HttpClient();
  return {
    name: providerServer.name,
    wire: providerServer.wire.name,
    check: async () => requireKey(providerServer),
    stream: (request, context) =>
      stream({ http, providerServer, room, limits: { ...httpLimits, ...limits } }, request, context),
    describe: (signal, modelsMax) => describeServer(http, providerServer, signal, modelsMax),
    close: () => http.close(),
  };
}

type StreamParts = {
  http: HttpClient;
  providerServer: ProviderServer;
  room: Admission;
  limits: PatienceLimits;
};

async function* stream(
  { http, providerServer, room, limits }: StreamParts,
  request: ModelRequest,
  context: RequestContext,
): ModelDeltas {
  const { name, wire } = providerServer;
  requireKey(providerServer);
  const streamed = request.stream ?? true;
  const original = request.original?.wire === wire.name ? request.original : null;
  const body =
    original !== null && 'passOn' in wire
      ? wire.passOn(original, request.model, streamed)
      : wire.body(request, streamed);
  const patience = new Patience(name, context.signal, limits);
  let answer: HttpAnswer | null = null;
  try {
    answer = await http.send(addressOf(providerServer, wire.path(request.model, streamed)), {
      method: 'POST',
      headers: Object.assign(headersOf(providerServer, original), {
        'content-type': 'application/json',
        accept: streamed ? accepted[wire.framing] : 'application/json',
        [hopsHeader]: String((context.hops ?? 0) + 1),
      }),
      body: JSON.stringify(body),
      signal: patience.signal,
      onSent: () => context.onState?.('sent'),
      // A server that answers before `onSent` has received the request, too.
      onStatus: (status) => context.onState?.(isRefusal(status) ? 'refused' : 'sent'),
    });
    const kind = (one(answer.headers, 'content-type') ?? '').split(';')[0]?.trim().toLowerCase() ?? '';
    if (isRefusal(answer.status)) {
      // The body of an error gets the short time limit for the end of a stream.
      patience.sawEnd();
      throw await refusal(providerServer, answer);
    }
    if (kind === 'text/html') {
      context.onState?.('refused');
      throw notAStream(providerServer, kind);
    }
    const forMs = usedUpMs(answer.headers, Date.now());
    if (forMs !== null) context.onUsedUp?.(forMs);
    const come = { answer, kind, raw: original !== null, room };
    const json = kind.endsWith('json') && !kind.endsWith('ndjson');
    if (json && (!streamed || wire.framing === 'server-sent-events'))
      yield await wholeAnswer(providerServer, come, context);
    else yield* streamedAnswer(providerServer, come, patience);
  } catch (error) {
    if (error instanceof HttpFailed) {
      context.onState?.('over');
      throw connectionFailed(providerServer, error);
    }
    // A retry doesn't help, but another provider may answer correctly.
    if (error instanceof EventTooLarge) throw new CoppiceError('provider-failed', `${name} sent ${error.message}`);
    throw error;
  } finally {
    // Closes the connection of an abandoned answer.
    answer?.leave();
    patience.end();
  }
}

const accepted = { 'server-sent-events': 'text/event-stream', 'json-lines': 'application/x-ndjson' } as const;

function requireKey({ name, key, keyRequired }: ProviderServer): void {
  if (key === null && keyRequired !== null)
    throw new CoppiceError(
      'provider-failed',
      `there is no key for ${name}: set ${keyRequired} and restart the stack (coppice down, coppice up)`,
      {
        details: { keyRequired },
      },
    );
}

/** A response. `kind` is its content type. `raw` is true if the received data must be passed on unchanged, too. */
type Come = { answer: HttpAnswer; kind: string; raw: boolean; room: Admission };

/** Reads an unstreamed answer, or an error that has status 200. */
async function wholeAnswer(
  providerServer: ProviderServer,
  { answer, raw, room }: Come,
  { onState }: RequestContext,
): Promise<ModelDelta[]> {
  using halfRead = new HalfRead(providerServer.name, room);
  const text = await wholeText(answer.body, httpLimits.wholeBodyBytesMax, (bytes) => halfRead.keep(bytes));
  if (text !== null) onState?.('over');
  if (text === null) throw new CoppiceError('provider-failed', `${providerServer.name}'s answer is too large`);
  const reader = readerOf(providerServer);
  const deltas = [...reader.whole(jsonOf(text)), ...reader.end()];
  return raw ? [{ type: 'raw', whole: true, name: null, data: text }, ...deltas] : deltas;
}

async function* streamedAnswer(
  providerServer: ProviderServer,
  { answer, kind, raw, room }: Come,
  patience: Patience,
): ModelDeltas {
  using halfRead = new HalfRead(providerServer.name, room);
  const reader = readerOf(providerServer);
  const answered = new AnswerStream(providerServer.wire.framing, reader, raw);
  let begun = false;
  let eventsRead = 0;
  const noteEvents = () => {
    if (answered.eventsRead === eventsRead) return;
    eventsRead = answered.eventsRead;
    if (reader.ended || reader.finished) patience.sawEnd();
    else patience.sawEvent();
  };
  try {
    let bytes = 0;
    for await (const piece of answer.body) {
      bytes += piece.length;
      if (bytes > httpLimits.answerBytesMax) throw new EventTooLarge(`more than ${httpLimits.answerBytesMax} bytes`);
      for (const deltas of bundlesOf(answered.read(piece), begun)) {
        // The provider isn't responsible for the time that the caller takes, so the limit between events stops.
        // `noteEvents` restarts it.
        patience.rest();
        yield deltas;
        if (begun || !deltas.some(isOutput)) continue;
        begun = true;
        await sent();
      }
      halfRead.keep(answered.halfReadCharacters);
      noteEvents();
    }
    patience.rest();
    yield* bundlesOf(answered.end(), begun);
  } catch (error) {
    const broken = error instanceof HttpFailed || error === patience.ownReason;
    // If the reader has finished, at most the usage is missing.
    if (!broken || !reader.finished) throw error;
  }
  // A stream of the right type without events was cut. The missing `response-end` reports that.
  if (answered.eventsSeen === 0 && kind !== accepted[providerServer.wire.framing])
    throw notAStream(providerServer, kind);
  yield [...reader.end()];
}

/**
 * Yields one group of all deltas that arrived together. If the answer hasn't `begun`, the first output is yielded
 * before the rest is read.
 * @throws what the iteration throws, after it has yielded the deltas before the error.
 */
function* bundlesOf(all: Iterable<ModelDelta>, begun: boolean): Iterable<ModelDelta[]> {
  let deltas: ModelDelta[] = [];
  let split = begun;
  try {
    for (const delta of all) {
      deltas.push(delta);
      if (split || !isOutput(delta)) continue;
      split = true;
      yield deltas;
      deltas = [];
    }
  } catch (error) {
    if (deltas.length > 0) yield deltas;
    throw error;
  }
  if (deltas.length > 0) yield deltas;
}

const isOutput = ({ type }: ModelDelta): boolean => type.endsWith('-delta');

const readerOf = ({ name, key, wire }: ProviderServer): AnswerReader => wire.reader({ provider: name, secret: key });

const isRefusal = (status: number): boolean => status < 200 || status >= 300;

async function refusal({ name, key, wire }: ProviderServer, answer: HttpAnswer): Promise<CoppiceError> {
  const { status, headers } = answer;
  if (status >= 300 && status < 400) {
    return new CoppiceError(
      'provider-failed',
      `${name} answered with a redirect (HTTP ${status}), which is not followed: set its base URL to where it leads`,
    );
  }
  // The error may be ignored, since the status is sufficient.
  const text = await wholeText(answer.body, httpLimits.errorBytesMax).catch(() => null);
  const body = text === null ? 'an error that is too long or broke off' : (jsonOf(text) ?? text);
  return providerError({ provider: name, status, headers, body, secret: key, wire: wire.name });
}

function notAStream({ name }: ProviderServer, kind: string): CoppiceError {
  const text = `${name} answered with ${kind === '' ? 'no content type' : kind} and no answer in it: is its base URL right?`;
  return new CoppiceError('provider-failed', text);
}

function connectionFailed(providerServer: ProviderServer, { code }: HttpFailed): CoppiceError {
  // A retry doesn't help if the certificate is untrusted or the address is invalid.
  const retryable = !/CERT|SELF_SIGNED|ISSUER|ALTNAME|^ERR_INVALID|^UND_ERR_INVALID/.test(code);
  const text = `${providerServer.name}: the connection to ${new URL(providerServer.baseUrl).host} failed (${code})`;
  return new CoppiceError('provider-failed', text, { retryable });
}

import { CoppiceError } from '@coppice/contracts';
import type { ModelDelta, ModelRequest, Provider, RequestContext } from '../port.ts';
import { describeEndpoint } from './describe.ts';
import type { OpenAiEndpoint } from './endpoint.ts';
import { headersOf, urlOf } from './endpoint.ts';
import { providerError } from './errors.ts';
import { HttpClient, HttpFailed, wholeText } from './http.ts';
import type { HttpAnswer } from './http.ts';
import { openAiLimits } from './limits.ts';
import { Patience } from './patience.ts';
import type { PatienceLimits } from './patience.ts';
import { requestBody } from './request.ts';
import { AnswerReader, jsonOf } from './response.ts';
import { one } from './retry-after.ts';
import { EventReader, EventTooLarge } from './sse.ts';
import type { StreamEvent } from './sse.ts';

/** Any server of OpenAI's Chat Completions: OpenAI, OpenRouter, and the compatible doors of Ollama, LM Studio, vLLM, llama.cpp. */
export function openAiProvider(endpoint: OpenAiEndpoint, limits: Partial<PatienceLimits> = {}): Provider {
  const http = new HttpClient();
  return {
    name: endpoint.name,
    check: async () => requireKey(endpoint),
    stream: (request, context) => stream(http, endpoint, { ...openAiLimits, ...limits }, request, context),
    describe: (signal) => describeEndpoint(http, endpoint, signal),
    close: () => http.close(),
  };
}

async function* stream(
  http: HttpClient,
  endpoint: OpenAiEndpoint,
  limits: PatienceLimits,
  request: ModelRequest,
  context: RequestContext,
): AsyncIterable<ModelDelta> {
  const { name } = endpoint;
  requireKey(endpoint);
  using patience = new Patience(name, context.signal, limits);
  try {
    const answer = await http.send(urlOf(endpoint, 'chat/completions'), {
      method: 'POST',
      headers: { ...headersOf(endpoint), 'content-type': 'application/json', accept: 'text/event-stream' },
      body: JSON.stringify(requestBody(request)),
      signal: patience.signal,
    });
    const kind = (one(answer.headers, 'content-type') ?? '').split(';')[0]?.trim().toLowerCase() ?? '';
    if (answer.status < 200 || answer.status >= 300) throw await refusal(endpoint, answer);
    if (kind.endsWith('json')) yield* wholeAnswer(endpoint, answer);
    else if (kind === 'text/html') throw notAStream(endpoint, kind);
    else yield* streamedAnswer(endpoint, answer, kind, patience);
  } catch (error) {
    if (error instanceof HttpFailed) throw connectionFailed(endpoint, error);
    if (error instanceof EventTooLarge) throw new CoppiceError('limit-exceeded', `${name} sent ${error.message}`);
    throw error;
  }
}

function requireKey({ name, key, keyRequired }: OpenAiEndpoint): void {
  if (key === null && keyRequired !== null)
    throw new CoppiceError('provider-failed', `${name} needs a key: set ${keyRequired}`);
}

/** What a server answers that doesn't stream: an error after all, or the whole answer. */
async function* wholeAnswer(endpoint: OpenAiEndpoint, answer: HttpAnswer): AsyncIterable<ModelDelta> {
  const text = await wholeText(answer.body, openAiLimits.wholeBodyBytesMax);
  if (text === null) throw new CoppiceError('limit-exceeded', `${endpoint.name}'s answer is too large`);
  const reader = new AnswerReader(endpoint.name, endpoint.key);
  yield* reader.read(text);
  yield* reader.end();
}

async function* streamedAnswer(
  endpoint: OpenAiEndpoint,
  answer: HttpAnswer,
  kind: string,
  patience: Patience,
): AsyncIterable<ModelDelta> {
  const reader = new AnswerReader(endpoint.name, endpoint.key);
  const events = new EventReader(openAiLimits.eventCharactersMax);
  let ended = false;
  let eventsSeen = 0;
  const take = function* (event: StreamEvent): Iterable<ModelDelta> {
    eventsSeen++;
    // What follows is read to the end all the same, since only then the connection can be used again.
    if (ended) return;
    if (event.data.trim() === '[DONE]') ended = true;
    else if (event.name === 'error') throw reader.fail(jsonOf(event.data) ?? event.data);
    // The last event of a cut stream may be half of one: that it was cut is told by the missing end.
    else if (event.data.trim() !== '' && (event.complete || jsonOf(event.data) !== undefined))
      yield* reader.read(event.data);
    if (ended || reader.finished) patience.sawEnd();
    else patience.sawEvent();
  };
  try {
    let bytes = 0;
    for await (const piece of answer.body) {
      bytes += piece.length;
      if (bytes > openAiLimits.answerBytesMax)
        throw new EventTooLarge(`more than ${openAiLimits.answerBytesMax} bytes`);
      for (const event of events.read(piece)) yield* take(event);
    }
    for (const event of events.end()) yield* take(event);
  } catch (error) {
    const broken = error instanceof HttpFailed || error === patience.ownReason;
    // Only the usage can be missing then.
    if (!broken || !reader.finished) throw error;
  }
  if (eventsSeen === 0) throw notAStream(endpoint, kind);
  yield* reader.end();
}

async function refusal({ name, key }: OpenAiEndpoint, answer: HttpAnswer): Promise<CoppiceError> {
  const { status, headers } = answer;
  if (status >= 300 && status < 400) {
    return new CoppiceError(
      'provider-failed',
      `${name} answered with a redirect (HTTP ${status}), which is not followed: set its base URL to where it leads`,
    );
  }
  const text = await wholeText(answer.body, openAiLimits.errorBytesMax).catch(() => null);
  const body = text === null ? 'an error that is too long or broke off' : (jsonOf(text) ?? text);
  return providerError({ provider: name, status, headers, body, secret: key });
}

function notAStream({ name }: OpenAiEndpoint, kind: string): CoppiceError {
  const text = `${name} answered with ${kind === '' ? 'no content type' : kind} and no events where a stream of events was expected: is its base URL right?`;
  return new CoppiceError('provider-failed', text);
}

function connectionFailed(endpoint: OpenAiEndpoint, { code }: HttpFailed): CoppiceError {
  // A certificate that isn't trusted won't be so in a second.
  const retryable = !/CERT|SELF_SIGNED|ISSUER|ALTNAME|^ERR_INVALID|^UND_ERR_INVALID/.test(code);
  const text = `${endpoint.name}: the connection to ${new URL(endpoint.baseUrl).host} failed (${code})`;
  return new CoppiceError('provider-failed', text, { retryable });
}

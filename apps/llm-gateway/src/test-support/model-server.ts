import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingHttpHeaders, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export type ServedRequest = {
  method: string;
  path: string;
  headers: IncomingHttpHeaders;
  body: unknown;
  /** The client's port. */
  port: number;
  /** Resolves if the client's connection closes before the answer is complete. */
  abandoned: Promise<void>;
};

/** An HTTP server on loopback that plays prepared answers of a model server. */
export type ModelServer = AsyncDisposable & {
  baseUrl: string;
  requests: ServedRequest[];
  /** Sets the answers for the next requests. The last answer repeats. */
  play(...answers: ((response: ServerResponse, request: ServedRequest) => unknown)[]): void;
  close(): Promise<void>;
};

export async function startModelServer(): Promise<ModelServer> {
  const requests: ServedRequest[] = [];
  let answers: Parameters<ModelServer['play']> = [];
  const server = createServer((request, response) => {
    const { promise: abandoned, resolve } = Promise.withResolvers<void>();
    response.on('close', () => {
      if (!response.writableFinished) resolve();
    });
    const pieces: Buffer[] = [];
    request.on('data', (piece: Buffer) => pieces.push(piece));
    request.on('end', () => {
      const text = Buffer.concat(pieces).toString();
      const served: ServedRequest = {
        method: request.method ?? '',
        path: request.url ?? '',
        headers: request.headers,
        body: text === '' ? null : (JSON.parse(text) as unknown),
        port: request.socket.remotePort ?? 0,
        abandoned,
      };
      requests.push(served);
      const answer = answers.length > 1 ? answers.shift() : answers[0];
      answer?.(response, served);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const close = async () => {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  };
  return {
    baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    requests,
    play: (...next) => {
      answers = next;
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

export const sse = (events: readonly (object | string)[]): string =>
  events.map((event) => `data: ${typeof event === 'string' ? event : JSON.stringify(event)}\n\n`).join('');

export const playStream =
  (events: readonly (object | string)[], contentType: string | null = 'text/event-stream') =>
  (response: ServerResponse): void => {
    response.writeHead(200, contentType === null ? {} : { 'content-type': contentType });
    response.end(sse(events));
  };

export const playError =
  (status: number, body: object | string, headers: Record<string, string> = {}) =>
  (response: ServerResponse): void => {
    const json = typeof body === 'object';
    response.writeHead(status, { 'content-type': json ? 'application/json' : 'text/html', ...headers });
    response.end(json ? JSON.stringify(body) : body);
  };

const chunk = (delta: object, finishReason: string | null = null) => ({
  id: 'chatcmpl-1',
  object: 'chat.completion.chunk',
  created: 1_760_000_000,
  model: 'acme-1-2026',
  choices: [{ index: 0, delta, finish_reason: finishReason }],
});

/** Returns the events of a text answer, as the OpenAI chat API streams it. */
export const textStream = (text: string, finishReason = 'stop'): (object | string)[] => [
  chunk({ role: 'assistant', content: '' }),
  chunk({ content: text }),
  chunk({}, finishReason),
  { ...chunk({}), choices: [], usage: { prompt_tokens: 11, completion_tokens: 3, total_tokens: 14 } },
  '[DONE]',
];

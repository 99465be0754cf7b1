/**
 * A proxy that forwards requests without parsing them, as the minimum for comparisons. With the argument `handler` it
 * uses a custom handler of undici, as the gateway does.
 */
import { createServer } from 'node:http';
import { listenAndReport } from './ready.ts';
import { undici } from './undici.ts';

const [, , upstream = '', way = 'request'] = process.argv;
const dispatcher = new undici.Agent({ headersTimeout: 0, bodyTimeout: 0 });

listenAndReport(
  createServer({ noDelay: true }, (request, response) => {
    const pieces: Buffer[] = [];
    request.on('data', (piece: Buffer) => pieces.push(piece));
    request.on('end', () => {
      const [path, body] = [request.url ?? '/', Buffer.concat(pieces)];
      if (way === 'handler') passByHandler(path, body);
      else void pass(path, body).catch(() => response.destroy());
    });
    async function pass(path: string, body: Buffer): Promise<void> {
      const headers = { 'content-type': 'application/json' };
      const answer = await undici.request(`${upstream}${path}`, { method: 'POST', headers, body, dispatcher });
      response.writeHead(answer.statusCode, { 'content-type': answer.headers['content-type'] ?? '' });
      for await (const piece of answer.body) response.write(piece);
      response.end();
    }
    function passByHandler(path: string, body: Buffer): void {
      const headers = { 'content-type': 'application/json' };
      dispatcher.dispatch(
        { origin: upstream, path, method: 'POST', headers, body },
        {
          onRequestStart: () => {},
          onResponseStart: (_controller, status, answerHeaders) =>
            void response.writeHead(status, { 'content-type': answerHeaders['content-type'] ?? '' }),
          onResponseData: (_controller, piece) => void response.write(piece),
          onResponseEnd: () => void response.end(),
          onResponseError: () => void response.destroy(),
        },
      );
    }
  }),
);

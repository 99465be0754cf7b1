/** The floor: passes on what comes, and knows nothing of it. */
import { createServer } from 'node:http';
import { listenAndTell } from './ready.ts';
import { undici } from './undici.ts';

const upstream = process.argv[2] ?? '';
const dispatcher = new undici.Agent({ headersTimeout: 0, bodyTimeout: 0 });

listenAndTell(
  createServer({ noDelay: true }, (request, response) => {
    const pieces: Buffer[] = [];
    request.on('data', (piece: Buffer) => pieces.push(piece));
    request.on('end', () => {
      void pass(request.url ?? '/', Buffer.concat(pieces)).catch(() => response.destroy());
    });
    async function pass(path: string, body: Buffer): Promise<void> {
      const headers = { 'content-type': 'application/json' };
      const answer = await undici.request(`${upstream}${path}`, { method: 'POST', headers, body, dispatcher });
      response.writeHead(answer.statusCode, { 'content-type': answer.headers['content-type'] ?? '' });
      for await (const piece of answer.body) response.write(piece);
      response.end();
    }
  }),
);

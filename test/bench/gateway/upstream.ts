/** A model server that uses almost no CPU time. */
import { createServer } from 'node:http';
import type { ServerResponse } from 'node:http';
import { chunksPerStream, pacedChunkMs, pacedFirstChunkMs } from './load-plan.ts';
import type { Left } from './leaving.ts';
import { listenAndReport } from './ready.ts';

const usage = { prompt_tokens: 20, completion_tokens: 100, total_tokens: 120 };
const about = { id: 'chatcmpl-bench', created: 1_760_000_000, model: 'bench-1' };
const text = 'word '.repeat(100);
const whole = JSON.stringify({
  ...about,
  object: 'chat.completion',
  choices: [{ index: 0, message: { role: 'assistant', content: text }, finish_reason: 'stop' }],
  usage,
});
const event = (delta: object, finishReason: string | null = null, rest: object = {}): string =>
  `data: ${JSON.stringify({ ...about, object: 'chat.completion.chunk', choices: [{ index: 0, delta, finish_reason: finishReason }], ...rest })}\n\n`;
const chunk = event({ content: 'word ' });
const ending = `${event({}, 'stop')}${event({}, null, { choices: [], usage })}data: [DONE]\n\n`;

listenAndReport(
  createServer({ noDelay: true }, (request, response) => {
    response.on('close', () => {
      if (!response.writableEnded) process.send?.({ closedAtNs: String(process.hrtime.bigint()) } satisfies Left);
    });
    let body = '';
    request.setEncoding('utf8');
    request.on('data', (piece: string) => (body += piece));
    request.on('end', () => {
      if (!body.includes('"stream":true')) {
        response.writeHead(200, { 'content-type': 'application/json', 'content-length': whole.length });
        response.end(whole);
        return;
      }
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      if (body.includes('paced')) setTimeout(writeChunks, pacedFirstChunkMs, response, chunksPerStream, pacedChunkMs);
      else writeChunks(response, chunksPerStream, 0);
    });
  }),
);

function writeChunks(response: ServerResponse, left: number, pauseMs: number): void {
  for (let rest = left; rest > 0; rest--) {
    response.write(chunk);
    if (pauseMs > 0) return void setTimeout(writeChunks, pauseMs, response, rest - 1, pauseMs);
  }
  response.end(ending);
}

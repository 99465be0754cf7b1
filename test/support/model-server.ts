import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

export type ModelServer = AsyncDisposable & {
  baseUrl: string;
  /** Authorization headers of the received chat requests. */
  requests: string[];
};

export type ModelAnswer = string | { call: string; arguments: object };

/** Starts an OpenAI-compatible server. Its model gives these answers in order, and then repeats the last one. */
export async function startModelServer(...answers: [ModelAnswer, ...ModelAnswer[]]): Promise<ModelServer> {
  const requests: string[] = [];
  const chunk = (choices: object[], rest: object = {}) =>
    `data: ${JSON.stringify({ id: 'c1', object: 'chat.completion.chunk', model: 'small-1', choices, ...rest })}\n\n`;
  const server = createServer((request, response) => {
    request.resume();
    if (request.url === '/v1/models') {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ object: 'list', data: [{ id: 'small-1', object: 'model' }] }));
      return;
    }
    const answer = answers[Math.min(requests.length, answers.length - 1)] ?? '';
    requests.push(request.headers.authorization ?? '');
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(chunk([{ index: 0, delta: { role: 'assistant', ...deltaOf(answer) }, finish_reason: null }]));
    const finishReason = typeof answer === 'string' ? 'stop' : 'tool_calls';
    response.write(chunk([{ index: 0, delta: {}, finish_reason: finishReason }]));
    response.write(chunk([], { usage: { prompt_tokens: 20, completion_tokens: 8, total_tokens: 28 } }));
    response.end('data: [DONE]\n\n');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    baseUrl: `http://127.0.0.1:${port}/v1`,
    requests,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const deltaOf = (answer: ModelAnswer): object =>
  typeof answer === 'string'
    ? { content: answer }
    : {
        tool_calls: [
          {
            index: 0,
            id: 'call-1',
            type: 'function',
            function: { name: answer.call, arguments: JSON.stringify(answer.arguments) },
          },
        ],
      };

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

export type CollectorFault = 'hangs' | 'answers-500' | 'refuses';

export type BrokenCollector = AsyncDisposable & {
  url: string;
  /** Paths of the requests. */
  requests: readonly string[];
};

/** Starts an OTLP/HTTP endpoint that never answers, answers each request with 500, or refuses connections. */
export async function startBrokenCollector(fault: CollectorFault): Promise<BrokenCollector> {
  const requests: string[] = [];
  const server = createServer((request, response) => {
    requests.push(request.url ?? '');
    request.resume();
    if (fault === 'answers-500') response.writeHead(500).end('no');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const close = async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  if (fault === 'refuses') await close();
  return {
    url: `http://127.0.0.1:${port}`,
    requests,
    [Symbol.asyncDispose]: fault === 'refuses' ? async () => {} : close,
  };
}

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { MetricsHandler } from '@coppice/telemetry';

export type HealthServer = { port: number; close(): Promise<void> };

export type HealthProbes = {
  /** Returns null if the service is ready. */
  whyNotReady(): Promise<string | null>;
  /** Null if metrics are off. `/metrics` then returns 404. */
  metrics: MetricsHandler | null;
};

/** Time limit in milliseconds to receive a request. Long, since the event loop may lag by seconds on a busy machine. */
const probeMsMax = 20_000;

/**
 * Starts the HTTP server of the health endpoints. `/healthz` returns 200 while the process runs. `/readyz` returns 200
 * if the service is ready. `/metrics` returns metrics for Prometheus.
 * @throws if the port can't be opened
 */
export async function startHealthServer(
  address: { host: string; port: number },
  probes: HealthProbes,
): Promise<HealthServer> {
  const server = createServer((request, response) => {
    const answer = (status: number, body: object): void => {
      response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' });
      response.end(`${JSON.stringify(body)}\n`);
    };
    const path = request.url?.split('?')[0];
    if (path === '/healthz') return answer(200, { status: 'ok' });
    if (path === '/metrics' && probes.metrics !== null) return probes.metrics(request, response);
    if (path !== '/readyz') return answer(404, { status: 'not found' });
    void probes.whyNotReady().then(
      (reason) => (reason === null ? answer(200, { status: 'ready' }) : answer(503, { status: 'not ready', reason })),
      (error: unknown) =>
        answer(503, { status: 'not ready', reason: error instanceof Error ? error.message : String(error) }),
    );
  });
  server.requestTimeout = probeMsMax;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(address.port, address.host, resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

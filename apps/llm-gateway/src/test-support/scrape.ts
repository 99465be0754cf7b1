import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Telemetry } from '@coppice/telemetry';

/** Returns the lines of the Prometheus metrics whose names start with `beginning`. */
export async function scrape({ metricsHandler }: Telemetry, beginning: string): Promise<string[]> {
  const server = createServer((request, response) => metricsHandler?.(request, response)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const answer = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/metrics`);
  const text = await answer.text();
  server.close();
  return text.split('\n').filter((line) => line.startsWith(beginning));
}

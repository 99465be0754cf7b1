import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { eventually, startNatsServer } from '@coppice/testing';
import type { NatsServer } from '@coppice/testing';

/**
 * Resolves when the cluster has a leader, since it can't store anything before.
 * @param config gets the first server's credentials, which are valid on all servers
 */
export async function startNatsCluster(
  count: number,
  config: (credentials: { user: string; password: string }) => string,
): Promise<[NatsServer, ...NatsServer[]]> {
  const ports = await freePorts(count);
  const routes = ports.map((port) => `"nats://127.0.0.1:${port}"`).join(', ');
  const member = (index: number) =>
    `server_name: server-${index + 1}\ncluster { name: coppice, listen: "127.0.0.1:${ports[index]}", routes: [${routes}] }\n`;
  const first = await startNatsServer({ config: (credentials) => `${member(0)}${config(credentials)}` });
  const { user = '', password = '' } = first;
  const others = await Promise.all(
    ports.slice(1).map((_port, index) => {
      return startNatsServer({ config: `${member(index + 1)}${config({ user, password })}` });
    }),
  );
  const all = [first, ...others] as const;
  await eventually(async () => (await Promise.all(all.map(hasLeader))).every(Boolean), {
    timeoutMs: 60_000,
    description: 'a leader that all servers of the cluster know',
  });
  return [...all];
}

async function hasLeader({ monitoringUrl }: NatsServer): Promise<boolean> {
  const answer = await fetch(new URL('/jsz', monitoringUrl));
  const { meta_cluster: cluster } = (await answer.json()) as { meta_cluster?: { leader?: string } };
  return (cluster?.leader ?? '') !== '';
}

/** Each server's configuration lists the ports of all servers, so the ports are chosen first. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  await Promise.all(servers.map((server) => new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

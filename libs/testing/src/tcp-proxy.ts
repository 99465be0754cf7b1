import { createConnection, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';

/** A proxy for a TCP server, with which a test breaks connections while the server runs. */
export type TcpProxy = AsyncDisposable & {
  port: number;
  /** Resets all connections, and refuses new connections until `heal` is called. */
  cut(): void;
  /**
   * Blocks the data of all existing and new connections until `heal` is called. Default: in both directions. The
   * connections stay open.
   */
  stall(direction?: 'to-server' | 'to-client'): void;
  heal(): void;
};

type Direction = 'to-server' | 'to-client';

export async function startTcpProxy(serverPort: number): Promise<TcpProxy> {
  const links = new Set<Record<Direction, Socket>>();
  let isCut = false;
  let stalled: readonly Direction[] = [];
  const apply = (link: Record<Direction, Socket>) => {
    // `to-server` is the client's socket, since the data for the server is read from it.
    if (stalled.includes('to-server')) link['to-server'].pause();
    else link['to-server'].resume();
    if (stalled.includes('to-client')) link['to-client'].pause();
    else link['to-client'].resume();
  };
  const listener = createServer({ pauseOnConnect: true }, (client) => {
    if (isCut) {
      client.resetAndDestroy();
      return;
    }
    const upstream = createConnection({ host: '127.0.0.1', port: serverPort });
    const link = { 'to-server': client, 'to-client': upstream };
    links.add(link);
    const end = () => {
      links.delete(link);
      client.destroy();
      upstream.destroy();
    };
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      from.on('data', (data) => to.write(data));
      from.on('close', end);
      from.on('error', end);
    }
    apply(link);
  });
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  const change = (directions: readonly Direction[]) => {
    stalled = directions;
    for (const link of links) apply(link);
  };
  return {
    port: (listener.address() as AddressInfo).port,
    cut: () => {
      isCut = true;
      for (const link of links) for (const socket of Object.values(link)) socket.resetAndDestroy();
    },
    stall: (direction) => change(direction === undefined ? ['to-server', 'to-client'] : [direction]),
    heal: () => {
      isCut = false;
      change([]);
    },
    [Symbol.asyncDispose]: async () => {
      for (const link of links) for (const socket of Object.values(link)) socket.destroy();
      await new Promise<void>((resolve) => listener.close(() => resolve()));
    },
  };
}

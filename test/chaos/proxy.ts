import { createServer, connect } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';

/** A TCP proxy in front of the NATS server for one process, so that a test can break its connection alone. */
export type Proxy = AsyncDisposable & {
  port: number;
  /** Ends every connection with a TCP reset. New ones are accepted at once. */
  reset(): void;
  /** Passes no byte on, in either direction, until `resume`. New connections are accepted and wait, too. */
  stall(): void;
  resume(): void;
};

type Pair = { client: Socket; server: Socket };

export async function startProxy(target: { host: string; port: number }): Promise<Proxy> {
  const pairs = new Set<Pair>();
  let stalled = false;

  const open = (client: Socket): void => {
    const server = connect(target);
    const pair = { client, server };
    pairs.add(pair);
    const end = (): void => {
      if (!pairs.delete(pair)) return;
      client.destroy();
      server.destroy();
    };
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      from.setNoDelay(true);
      from.on('error', end);
      from.on('close', end);
      from.on('data', (bytes) => {
        if (to.write(bytes)) return;
        from.pause();
        to.once('drain', () => {
          if (!stalled) from.resume();
        });
      });
      if (stalled) from.pause();
    }
  };

  const listener = createServer(open);
  await new Promise<void>((resolve, reject) => {
    listener.once('error', reject);
    listener.listen(0, '127.0.0.1', resolve);
  });
  const each = (act: (socket: Socket) => void): void => {
    for (const { client, server } of pairs) {
      act(client);
      act(server);
    }
  };
  const reset = (): void => {
    const sockets = [...pairs].flatMap(({ client, server }) => [client, server]);
    for (const socket of sockets) socket.resetAndDestroy();
  };
  return {
    port: (listener.address() as AddressInfo).port,
    reset,
    stall: () => {
      stalled = true;
      each((socket) => socket.pause());
    },
    resume: () => {
      stalled = false;
      each((socket) => socket.resume());
    },
    [Symbol.asyncDispose]: async () => {
      reset();
      await new Promise((resolve) => listener.close(resolve));
    },
  };
}

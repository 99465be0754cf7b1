/** The message by which a benchmark's program reports to its parent process that it is ready. */
import type { AddressInfo, Server } from 'node:net';

export type Ready = { url: string; token?: string };

/** Sends the message. This process exits when its parent disconnects. */
export function printReady(ready: Ready): void {
  process.once('disconnect', () => process.exit(0));
  process.send?.(ready);
}

export function listenAndReport(server: Server): void {
  server.listen(0, '127.0.0.1', () => {
    printReady({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
  });
}

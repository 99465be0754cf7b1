/** Program for nats-server.test.ts: starts a server, prints its address, and waits to be killed. */
import { startNatsServer } from '../index.ts';

const server = await startNatsServer();
console.log(`server ${server.url}`);
setInterval(() => {}, 60_000);

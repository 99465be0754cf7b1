/** Run by nats-server.test.ts: starts a server, tells its address, and waits to be ended by force. */
import { startNatsServer } from '../index.ts';

const server = await startNatsServer();
console.log(`server ${server.url}`);
setInterval(() => {}, 60_000);

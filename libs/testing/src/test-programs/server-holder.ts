/** Program for nats-server.test.ts. Starts a server, prints its address, and runs until it is killed. */
import { startNatsServer } from '../index.ts';

const server = await startNatsServer();
console.log(`server ${server.url}`);
setInterval(() => {}, 60_000);

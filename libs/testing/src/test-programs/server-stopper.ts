/** Run by nats-server.test.ts: starts a server, stops it, and ends by itself when nothing is left open. */
import { startNatsServer } from '../index.ts';

const server = await startNatsServer();
await server.stop();

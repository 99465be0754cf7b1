/** Program for nats-server.test.ts: starts a server, stops it, and exits when nothing is left open. */
import { startNatsServer } from '../index.ts';

const server = await startNatsServer();
await server.stop();

/** Program for nats-server.test.ts. Starts and stops a server. Exits if nothing else keeps the event loop running. */
import { startNatsServer } from '../index.ts';

const server = await startNatsServer();
await server.stop();

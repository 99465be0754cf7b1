/** Program for nats-server.test.ts. Starts and stops a server. Exits only if nothing keeps its event loop running. */
import { startNatsServer } from '../index.ts';

const server = await startNatsServer();
await server.stop();

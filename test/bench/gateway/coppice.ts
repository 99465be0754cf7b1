/** Runs the gateway with budgets. Answers each message of the parent process with the heap size in bytes. */
import { gatewayCalls } from '@coppice/contracts';
import { gatewayOptionsFrom, startLlmGateway } from '@coppice/llm-gateway';
import { startService } from '@coppice/service';
import { Bus } from '@coppice/bus';
import { printReady } from './ready.ts';

const [, , upstream = '', server = ''] = process.argv;
const connection = { servers: server };
/** So high that the benchmark never reaches them, but the gateway has to count the usage. */
const limits = { tokens: 1_000_000_000 };
await startService({
  name: 'llm-gateway',
  version: '1.0.0',
  node: 'here',
  connection,
  makesResources: true,
  start: (context) =>
    startLlmGateway(context, {
      ...gatewayOptionsFrom({ COPPICE_OPENAI_PROVIDERS: `bench=${upstream}/v1` }),
      tenantLimits: [{ tenant: 'default', per: 'day', ...limits }],
      httpAddresses: [{ host: '127.0.0.1', port: 0 }],
    }),
});
const bus = await Bus.connect({ ...connection, name: 'bench' });
const grant = { tenant: 'default', runId: '', taskId: '', limits };
const { token, addresses } = await bus.call(
  gatewayCalls.mintToken,
  { service: 'llm-gateway' },
  { grant, ttlMs: 8 * 3_600_000 },
);
await bus.close();
process.on('message', () => {
  globalThis.gc?.();
  process.send?.(process.memoryUsage().heapUsed);
});
printReady({ url: addresses[0] ?? '', token });

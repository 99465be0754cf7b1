/** Tests for every wire format that the request to the provider ends if the bus client disconnects. */
import { Bus } from '@coppice/bus';
import { startFaultyUpstream } from '@coppice/faulty-upstream';
import type { FaultyRequest, FaultyUpstream } from '@coppice/faulty-upstream';
import { startService } from '@coppice/service';
import type { StartedService } from '@coppice/service';
import { eventually, startNatsServer } from '@coppice/testing';
import type { NatsServer } from '@coppice/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { wireNames } from '../../wires/registry.ts';
import { startLlmGateway } from '../../service.ts';
import { sendChat } from '../../test-support/chat-client.ts';
import { FaultyProviders } from '../../test-support/faulty-providers.ts';

let nats: NatsServer;
let upstream: FaultyUpstream;
let providers: FaultyProviders;
let gateway: StartedService;
let watcher: Bus;
const requests: FaultyRequest[] = [];
beforeAll(async () => {
  nats = await startNatsServer({ auth: true });
  upstream = await startFaultyUpstream({ onRequest: (request) => requests.push(request) });
  providers = new FaultyProviders(upstream);
  watcher = await Bus.connect({ ...nats.connection, name: 'watcher' });
  await watcher.ensureResources();
  gateway = await startService({
    name: 'llm-gateway',
    version: '1.0.0',
    node: 'here',
    connection: nats.connection,
    start: (context) =>
      startLlmGateway(context, {
        providers: providers.all,
        chats: { limits: { unkeptMsMax: 500, sweepMs: 20 } },
      }),
  });
});
afterAll(async () => {
  await gateway?.stop();
  await providers?.close();
  await upstream?.close();
  await watcher?.close();
  await nats?.stop();
});

test.each(wireNames)('%s', async (wire) => {
  const model = `${wire}/gone/stall-after-output`;
  const begun = providers.patientFor(model);
  const client = await Bus.connect({ ...nats.connection, name: 'client' });
  // The chat fails with any error, since its client's connection is closed below.
  const heard = sendChat(client, { model }).catch(() => null);
  await begun;
  await client.close();
  const request = await eventually(() => requests.find((each) => model === `${each.wire}/${each.model}`));
  // The upstream server sends nothing more, so its request ends only if the gateway closes the connection.
  expect(await request.ended).toBe('left');
  await heard;
});

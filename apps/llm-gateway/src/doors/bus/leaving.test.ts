/** A client of the bus that is gone without a word: the upstream call of every wire ends before its next piece. */
import { Bus } from '@coppice/bus';
import { startService } from '@coppice/service';
import type { StartedService } from '@coppice/service';
import { eventually, startNatsServer } from '@coppice/testing';
import type { NatsServer } from '@coppice/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startFaultyUpstream } from '../../faulty-upstream/server.ts';
import type { FaultyRequest, FaultyUpstream } from '../../faulty-upstream/server.ts';
import { wireNames } from '../../provider/port.ts';
import { startLlmGateway } from '../../service.ts';
import { askChat } from '../../test-support/chat-client.ts';
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
  // Its own connection is closed under it, which it may tell in any words.
  const heard = askChat(client, { model }).catch(() => null);
  await begun;
  // Its connection is gone, and with it whoever could be told.
  await client.close();
  const request = await eventually(() => requests.find((each) => model === `${each.wire}/${each.model}`));
  // The next piece never comes: that the connection is closed is all that ends the upstream's wait.
  expect(await request.ended).toBe('left');
  await heard;
});

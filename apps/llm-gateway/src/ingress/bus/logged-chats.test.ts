import { Bus } from '@coppice/bus';
import { createLogger } from '@coppice/telemetry';
import { startNatsServer } from '@coppice/testing';
import { expect, test } from 'vitest';
import { Artifacts } from '../../artifacts.ts';
import { prepareExchanges } from '../../routing/collaborators.ts';
import { sendChat, sendWholeChat } from '../../test-support/chat-client.ts';
import { end, saying, text } from '../../test-support/says.ts';
import { startBusEndpoint } from './start.ts';

test('a chat is logged with its usage, streamed or not, and without its texts', async () => {
  await using nats = await startNatsServer();
  const bus = await Bus.connect({ ...nats.connection, name: 'test' });
  await bus.ensureResources();
  const logged: string[] = [];
  const log = createLogger('test', { level: 'info', destination: { write: (line) => void logged.push(line) } });
  const usage = { inputTokens: 9, outputTokens: 2, costUsd: 0.002 };
  const acme = saying('acme', [text('the answer'), { type: 'usage', usage }, end]);
  const exchange = prepareExchanges({ providers: [acme] });
  const artifacts = new Artifacts(bus);
  const clock = { now: () => new Date() };
  const endpoint = await startBusEndpoint(
    { bus, version: '1.0.0', log },
    { exchange, artifacts, tenantLimits: [], clock },
  );
  const messages = [{ role: 'user', content: [{ type: 'text', text: 'the question' }] }];
  const fields = { endpoint: 'bus', requestedModel: 'acme/one', model: 'acme/one', usage, attempts: 1 };
  await sendChat(bus, { model: 'acme/one', messages });
  await sendWholeChat(bus, { model: 'acme/one', messages });
  await endpoint.stop();
  await bus.close();
  const lines = logged.map((line) => JSON.parse(line) as object);
  const owner = { tenant: 'default', runId: '', taskId: '' };
  expect(lines).toMatchObject([
    { ...fields, owner, level: 'info' },
    { ...fields, owner, level: 'info' },
  ]);
  expect(logged.join('')).not.toMatch(/the question|the answer/);
});

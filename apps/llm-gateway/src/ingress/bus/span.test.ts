import { Bus } from '@coppice/bus';
import { startService } from '@coppice/service';
import { startTelemetry, withSpan } from '@coppice/telemetry';
import { eventually, startNatsServer, startTraceCollector } from '@coppice/testing';
import { expect, test, vi } from 'vitest';
import { startLlmGateway } from '../../service.ts';
import { sendChat } from '../../test-support/chat-client.ts';
import { end, saying, text } from '../../test-support/says.ts';

test("a chat is a span in the client's trace, around the request to the provider, and does not contain the chat's id", async () => {
  await using collector = await startTraceCollector();
  for (const [name, value] of Object.entries(collector.environment)) vi.stubEnv(name, value);
  const telemetry = await startTelemetry({ serviceName: 'gateway', instanceId: 'one' });
  await using nats = await startNatsServer();
  const bus = await Bus.connect({ ...nats.connection, name: 'test' });
  await bus.ensureResources();
  const gateway = await startService({
    name: 'llm-gateway',
    version: '1.0.0',
    node: 'here',
    connection: nats.connection,
    start: (context) => startLlmGateway(context, { providers: [saying('acme', [text('hello'), end])] }),
  });
  const { messages } = await withSpan('client', {}, () => sendChat(bus, { model: 'acme/one' }));
  const [started] = messages;
  await gateway.stop();
  await bus.close();
  await telemetry.shutdown();
  vi.unstubAllEnvs();
  const [client, chat, attempt] = await eventually(() => {
    const spans = ['client', 'serve coppice.api.*.llm.chat', 'chat one'].map((name) =>
      collector.spans.find((span) => span.name === name),
    );
    return spans.every((span) => span !== undefined) && spans;
  });
  expect(chat).toMatchObject({
    kind: 2,
    traceId: client?.traceId,
    parentSpanId: client?.spanId,
    attributes: { 'coppice.tenant': 'default', 'messaging.destination.template': 'coppice.api.*.llm.chat' },
  });
  expect(attempt).toMatchObject({ traceId: client?.traceId, parentSpanId: chat?.spanId });
  expect(started?.type).toBe('started');
  expect(JSON.stringify(collector.spans)).not.toContain(started?.type === 'started' ? started.chatId : '');
});

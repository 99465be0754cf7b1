import { eventually, startTraceCollector } from '@coppice/testing';
import { startTelemetry } from '@coppice/telemetry';
import { expect, test, vi } from 'vitest';
import { playStream, textStream } from '../../test-support/model-server.ts';
import { grant, startTestFacade, token } from './test-support/start-facade.ts';

test("a request is a span in the client's trace, around the request to the provider, and does not contain the token", async () => {
  await using collector = await startTraceCollector();
  for (const [name, value] of Object.entries(collector.environment)) vi.stubEnv(name, value);
  const telemetry = await startTelemetry({ serviceName: 'gateway', instanceId: 'one' });
  await using facade = await startTestFacade();
  facade.upstream.play(playStream(textStream('hello')));
  const [traceId, parentSpanId] = ['0af7651916cd43dd8448eb211c80319c', 'b7ad6b7169203331'];
  const response = await fetch(`${facade.url}/v1/messages?key=${token}`, {
    method: 'POST',
    headers: { traceparent: `00-${traceId}-${parentSpanId}-01` },
    body: JSON.stringify({ model: 'acme/acme-1', max_tokens: 10, messages: [{ role: 'user', content: 'hi' }] }),
  });
  expect(response.status).toBe(200);
  await telemetry.shutdown();
  vi.unstubAllEnvs();
  const [request, attempt] = await eventually(() => {
    const spans = ['POST /v1/messages', 'chat acme-1'].map((name) =>
      collector.spans.find((span) => span.name === name),
    );
    return spans.every((span) => span !== undefined) && spans;
  });
  expect(request).toMatchObject({
    kind: 2,
    traceId,
    parentSpanId,
    attributes: {
      'http.request.method': 'POST',
      'http.route': '/v1/messages',
      'coppice.tenant': grant.tenant,
      'coppice.run.id': grant.runId,
      'coppice.task.id': grant.taskId,
    },
  });
  expect(attempt).toMatchObject({ traceId, parentSpanId: request?.spanId });
  expect(JSON.stringify(collector.spans)).not.toContain(token);
});

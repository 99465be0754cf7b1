/**
 * Program for start.test.ts. Records a producer span, a consumer span and a log line. Then prints the results as JSON,
 * with the number of loaded SDK modules.
 */
import { registerHooks } from 'node:module';

const loaded: string[] = [];
registerHooks({
  load: (url, context, nextLoad) => {
    loaded.push(url);
    return nextLoad(url, context);
  },
});
const {
  SpanKind,
  addToCounter,
  attributes,
  createLogger,
  currentTraceparent,
  extractTrace,
  injectTrace,
  linkFrom,
  startTelemetry,
  withSpan,
} = await import('../index.ts');

const telemetry = await startTelemetry({ serviceName: 'hop', instanceId: 'one', version: '1.2.3' });
const logger = createLogger('hop');
const headers: Record<string, string> = {};
let stored: string | null = null;
await withSpan(
  'send',
  { kind: SpanKind.PRODUCER, attributes: { [attributes.messagingSystemName]: 'nats' } },
  async () => {
    await new Promise((resolve) => setTimeout(resolve, 5));
    injectTrace(headers);
    stored = currentTraceparent();
    logger.info('sent');
  },
);
await withSpan('receive', { kind: SpanKind.CONSUMER, parent: extractTrace(headers), links: linkFrom(stored) }, () => {
  throw Object.assign(new Error('refused'), { code: 'conflict' });
}).catch((error: Error) => console.log(`caught ${error.message}`));
addToCounter('coppice.task.ended', 1, { state: 'merged' });
await telemetry.shutdown();
console.log(
  JSON.stringify({
    enabled: telemetry.enabled,
    headers,
    stored,
    sdkModules: loaded.filter((url) => /@opentelemetry\/(?!api\/)/.test(url)).length,
  }),
);

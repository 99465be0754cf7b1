import { DiagLogLevel, diag } from '@opentelemetry/api';
import { attributes } from './attributes.ts';
import { createLogger } from './logger.ts';
import { idGenerator, spanIdPrefix } from './span-ids.ts';

export type Telemetry = {
  /** Whether spans are recorded and exported. */
  enabled: boolean;
  /** Sends what is still queued, for at most `shutdownMsMax`. Never throws. */
  shutdown: () => Promise<void>;
};

export type TelemetrySettings = {
  serviceName: string;
  /** Distinguishes processes of one service. */
  instanceId: string;
  version?: string;
};

/** A collector that doesn't answer must not hold up a service that stops. */
const shutdownMsMax = 3_000;
/** One export request. The batch processor drops spans when its queue is full; nothing waits for it. */
const exportMsMax = 5_000;
const complaintIntervalMs = 60_000;

const off: Telemetry = { enabled: false, shutdown: async () => {} };
let running: Promise<Telemetry> | null = null;

/**
 * Switches tracing on if the environment asks for it: `OTEL_EXPORTER_OTLP_ENDPOINT` or `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` is set, or
 * `COPPICE_TRACES=on` (then to the default, http://localhost:4318). `COPPICE_TRACES=off` wins over all. When off, no SDK is loaded.
 * Once a process: a second call (services embedded in one process) gets the first's. A failure to start is logged, not thrown.
 */
export function startTelemetry(
  settings: TelemetrySettings,
  environment: NodeJS.ProcessEnv = process.env,
): Promise<Telemetry> {
  if (!isAskedFor(environment)) return Promise.resolve(off);
  running ??= start(settings).catch((error: unknown) => {
    createLogger('telemetry').warn({ err: error }, 'tracing could not be started; going on without it');
    running = null;
    return off;
  });
  return running;
}

function isAskedFor(environment: NodeJS.ProcessEnv): boolean {
  const asked = environment['COPPICE_TRACES']?.toLowerCase() ?? '';
  if (['off', '0', 'false', 'no'].includes(asked)) return false;
  if (asked !== '') return true;
  return Boolean(environment['OTEL_EXPORTER_OTLP_ENDPOINT'] ?? environment['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT']);
}

async function start(settings: TelemetrySettings): Promise<Telemetry> {
  complainSeldom();
  const [{ NodeSDK }, { OTLPTraceExporter }, { defaultResource, resourceFromAttributes }] = await Promise.all([
    import('@opentelemetry/sdk-node'),
    import('@opentelemetry/exporter-trace-otlp-http'),
    import('@opentelemetry/resources'),
  ]);
  const sdk = new NodeSDK({
    resource: defaultResource().merge(
      resourceFromAttributes({
        [attributes.serviceName]: settings.serviceName,
        [attributes.serviceInstanceId]: settings.instanceId,
        ...(settings.version === undefined ? {} : { [attributes.serviceVersion]: settings.version }),
      }),
    ),
    autoDetectResources: false,
    idGenerator: idGenerator(spanIdPrefix(settings.serviceName, settings.instanceId)),
    traceExporter: new OTLPTraceExporter({ timeoutMillis: exportMsMax }),
    // Headers are written and read by trace.ts; logs go to stderr, metrics come with an issue of their own.
    textMapPropagator: null,
    metricReaders: [],
    logRecordProcessors: [],
    instrumentations: [],
  });
  sdk.start();
  return {
    enabled: true,
    shutdown: async () => {
      running = null;
      const { promise: tooLong, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(resolve, shutdownMsMax);
      // What can't be delivered at the end is lost: traces never decide how a service ends.
      await Promise.race([sdk.shutdown().catch(() => {}), tooLong]);
      clearTimeout(timer);
    },
  };
}

/** Tells of export failures at most once a minute; they'd come with every batch. */
function complainSeldom(): void {
  const logger = createLogger('telemetry');
  let quietUntil = 0;
  const complain = (message: string): void => {
    if (Date.now() < quietUntil) return;
    quietUntil = Date.now() + complaintIntervalMs;
    logger.warn({ detail: message.slice(0, 500) }, 'traces are not being delivered');
  };
  const ignore = (): void => {};
  diag.setLogger(
    { error: complain, warn: complain, info: ignore, debug: ignore, verbose: ignore },
    { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true },
  );
}

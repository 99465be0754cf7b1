import { DiagLogLevel, diag } from '@opentelemetry/api';
import type { Resource } from '@opentelemetry/resources';
import { attributes } from './attributes.ts';
import { createLogger } from './logger.ts';
import { idGenerator, spanIdPrefix } from './span-ids.ts';
import type { MetricsHandler } from './start-metrics.ts';

export type Telemetry = {
  /** True if spans are recorded and exported. */
  enabled: boolean;
  /** Request handler of the endpoint for Prometheus. Null if that endpoint is off. */
  metricsHandler: MetricsHandler | null;
  /** Stops telemetry after it has sent the queued data, or after `shutdownMsMax`. Never throws. */
  shutdown: () => Promise<void>;
};

export type TelemetrySettings = {
  serviceName: string;
  /** Id of the process. Each process of a service has a different one. */
  instanceId: string;
  version?: string;
  /** True if the process has an endpoint for Prometheus. Default: false. */
  prometheus?: boolean;
};

/** Time limit of `shutdown`, so that an unresponsive collector does not delay the stop of a service. */
const shutdownMsMax = 3_000;
/** Time limit of an export request. No code waits for an export: when the queue is full, the batch processor drops spans. */
const exportMsMax = 5_000;
const complaintIntervalMs = 60_000;

const off: Telemetry = { enabled: false, metricsHandler: null, shutdown: async () => {} };
let running: Promise<Telemetry> | null = null;

/**
 * Starts the telemetry that these environment variables switch on. They are OpenTelemetry's standard variables, and Coppice's own variables where OpenTelemetry has none.
 * - Traces are on if `OTEL_EXPORTER_OTLP_ENDPOINT` or `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` is set, or with `COPPICE_TRACES=on` (default endpoint:
 *   http://localhost:4318). `COPPICE_TRACES=off` and `OTEL_TRACES_EXPORTER=none` override these settings. `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG` set the sampling.
 * - Metrics by OTLP are on with `OTEL_METRICS_EXPORTER=otlp`, or if `OTEL_EXPORTER_OTLP_METRICS_ENDPOINT` is set. `OTEL_EXPORTER_OTLP_ENDPOINT` alone doesn't switch metrics on,
 *   since it is often the address of Jaeger, which accepts no metrics. `COPPICE_METRICS=off` switches off all metrics, also the metrics for Prometheus.
 * - `OTEL_SDK_DISABLED=true` switches off everything. If everything is off, no SDK is loaded.
 * Telemetry starts once per process: in a process with several services, later calls return the first result. Errors are logged, not thrown.
 */
export function startTelemetry(
  settings: TelemetrySettings,
  environment: NodeJS.ProcessEnv = process.env,
): Promise<Telemetry> {
  const signals = requestedSignals(settings, environment);
  if (!signals.traces && !signals.prometheus && !signals.otlpMetrics) return Promise.resolve(off);
  running ??= start(settings, signals, environment).catch((error: unknown) => {
    createLogger('telemetry').warn({ err: error }, 'telemetry could not be started; continuing without it');
    running = null;
    return off;
  });
  return running;
}

type Signals = { traces: boolean; prometheus: boolean; otlpMetrics: boolean };

const isNo = (text: string | undefined): boolean => ['off', '0', 'false', 'no'].includes(text?.toLowerCase() ?? '');
const lists = (text: string | undefined, word: string): boolean =>
  (text?.split(',') ?? []).some((each) => each.trim().toLowerCase() === word);

function requestedSignals({ prometheus = false }: TelemetrySettings, environment: NodeJS.ProcessEnv): Signals {
  const value = (name: string): string | undefined => environment[name] || undefined;
  if (value('OTEL_SDK_DISABLED')?.toLowerCase() === 'true') {
    return { traces: false, prometheus: false, otlpMetrics: false };
  }
  const endpoint = value('OTEL_EXPORTER_OTLP_ENDPOINT') ?? value('OTEL_EXPORTER_OTLP_TRACES_ENDPOINT');
  const wanted = value('COPPICE_TRACES') !== undefined || endpoint !== undefined;
  const unwanted = isNo(value('COPPICE_TRACES')) || lists(value('OTEL_TRACES_EXPORTER'), 'none');
  const exporter = value('OTEL_METRICS_EXPORTER');
  const metrics = !isNo(value('COPPICE_METRICS'));
  const otlp = lists(exporter, 'otlp') || value('OTEL_EXPORTER_OTLP_METRICS_ENDPOINT') !== undefined;
  return {
    traces: wanted && !unwanted,
    prometheus: metrics && prometheus,
    otlpMetrics: metrics && otlp && !lists(exporter, 'none'),
  };
}

async function start(
  settings: TelemetrySettings,
  signals: Signals,
  environment: NodeJS.ProcessEnv,
): Promise<Telemetry> {
  complainSeldom();
  const resource = await resourceOf(settings);
  const stopTraces = signals.traces ? await startTraces(settings, resource) : null;
  const metrics =
    signals.prometheus || signals.otlpMetrics ? await startMetricsOf(resource, signals, environment) : null;
  return {
    enabled: signals.traces,
    metricsHandler: metrics?.handler ?? null,
    shutdown: async () => {
      running = null;
      const { promise: tooLong, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(resolve, shutdownMsMax);
      // Errors are ignored and the remaining data is lost, since telemetry must not delay or fail the stop of a service.
      const stopped = Promise.allSettled([stopTraces?.(), metrics?.shutdown()]);
      await Promise.race([stopped, tooLong]);
      clearTimeout(timer);
    },
  };
}

async function resourceOf({ serviceName, instanceId, version }: TelemetrySettings): Promise<Resource> {
  const { defaultResource, resourceFromAttributes } = await import('@opentelemetry/resources');
  return defaultResource().merge(
    resourceFromAttributes({
      [attributes.serviceName]: serviceName,
      [attributes.serviceInstanceId]: instanceId,
      ...(version === undefined ? {} : { [attributes.serviceVersion]: version }),
    }),
  );
}

/** @returns a function that stops tracing */
async function startTraces(
  { serviceName, instanceId }: TelemetrySettings,
  resource: Resource,
): Promise<() => Promise<void>> {
  const [{ NodeSDK }, { OTLPTraceExporter }] = await Promise.all([
    import('@opentelemetry/sdk-node'),
    import('@opentelemetry/exporter-trace-otlp-http'),
  ]);
  const sdk = new NodeSDK({
    resource,
    autoDetectResources: false,
    idGenerator: idGenerator(spanIdPrefix(serviceName, instanceId)),
    traceExporter: new OTLPTraceExporter({ timeoutMillis: exportMsMax }),
    // These parts of the SDK are switched off, since trace.ts reads and writes the headers, metrics have a separate provider, and logs go to stderr.
    textMapPropagator: null,
    metricReaders: [],
    logRecordProcessors: [],
    instrumentations: [],
  });
  sdk.start();
  return () => sdk.shutdown();
}

async function startMetricsOf(resource: Resource, signals: Signals, environment: NodeJS.ProcessEnv) {
  const { startMetrics } = await import('./start-metrics.ts');
  return startMetrics(
    resource,
    { prometheus: signals.prometheus, otlp: signals.otlpMetrics },
    { exportMsMax, environment },
  );
}

/** Makes OpenTelemetry log at most one export error a minute. Otherwise it would log every failed batch. */
function complainSeldom(): void {
  const logger = createLogger('telemetry');
  let quietUntil = 0;
  const complain = (message: string): void => {
    if (Date.now() < quietUntil) return;
    quietUntil = Date.now() + complaintIntervalMs;
    logger.warn({ detail: message.slice(0, 500) }, 'telemetry is not being delivered');
  };
  const ignore = (): void => {};
  diag.setLogger(
    { error: complain, warn: complain, info: ignore, debug: ignore, verbose: ignore },
    { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true },
  );
}

import { DiagLogLevel, diag } from '@opentelemetry/api';
import type { Resource } from '@opentelemetry/resources';
import { attributes } from './attributes.ts';
import { createLogger } from './logger.ts';
import { idGenerator, spanIdPrefix } from './span-ids.ts';
import type { MetricsHandler } from './start-metrics.ts';

export type Telemetry = {
  /** True if traces are on. */
  enabled: boolean;
  /** Null if the Prometheus endpoint is off. */
  metricsHandler: MetricsHandler | null;
  /** Sends the queued data and stops telemetry, within `shutdownMsMax`. Never throws. */
  shutdown: () => Promise<void>;
};

export type TelemetrySettings = {
  serviceName: string;
  /** Id of the process, unique among the processes of a service. */
  instanceId: string;
  version?: string;
  /** True if the process has a Prometheus endpoint. Default: false. */
  prometheus?: boolean;
};

/**
 * Time limit in milliseconds of `shutdown`. Short, since an unresponsive collector must not delay the stop of a
 * service.
 */
const shutdownMsMax = 3_000;
/**
 * Time limit in milliseconds of an export request. No code waits for an export. The batch processor drops spans if its
 * queue is full.
 */
const exportMsMax = 5_000;
const complaintIntervalMs = 60_000;

const off: Telemetry = { enabled: false, metricsHandler: null, shutdown: async () => {} };
let running: Promise<Telemetry> | null = null;

/**
 * Starts the telemetry that environment variables switch on. Most are OpenTelemetry's standard variables.
 * - Traces are on if `OTEL_EXPORTER_OTLP_ENDPOINT` or `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` is set, or with
 *   `COPPICE_TRACES=on`. The default endpoint is http://localhost:4318. `COPPICE_TRACES=off` or
 *   `OTEL_TRACES_EXPORTER=none` switches traces off in any case. `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG`
 *   set the sampling.
 * - OTLP metrics are on with `OTEL_METRICS_EXPORTER=otlp`, or if `OTEL_EXPORTER_OTLP_METRICS_ENDPOINT` is set.
 *   `OTEL_EXPORTER_OTLP_ENDPOINT` doesn't switch them on, since it is often the address of Jaeger, which accepts no
 *   metrics. `COPPICE_METRICS=off` switches off all metrics, including those for Prometheus.
 * - `OTEL_SDK_DISABLED=true` switches off everything. If everything is off, no SDK is loaded. Telemetry starts once in
 *   a process. Later calls, for example by another service, return the first result. Errors are only logged.
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
      // Errors are ignored, since telemetry must not fail or delay the stop of a service. The remaining data is lost.
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
    // The SDK's other parts are off. trace.ts reads and writes the headers, start-metrics.ts starts the metrics, and
    // logs go to stderr.
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

/** Makes OpenTelemetry log at most one export error a minute. By default, it logs each failed batch. */
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

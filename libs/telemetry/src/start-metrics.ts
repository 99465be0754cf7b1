import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Resource } from '@opentelemetry/resources';
import { useMeter } from './metrics.ts';

/** Request handler that returns all metrics in the text format of Prometheus. */
export type MetricsHandler = (request: IncomingMessage, response: ServerResponse) => void;
export type StartedMetrics = { handler: MetricsHandler | null; shutdown(): Promise<void> };

/** Default interval in milliseconds of OTLP exports. `OTEL_METRIC_EXPORT_INTERVAL` overrides it. */
const exportIntervalMs = 60_000;

/**
 * Loads the metrics SDK and switches recording on.
 * @param sinks `prometheus`: if true, the result has a handler for a Prometheus endpoint; `otlp`: if true, the metrics
 * are sent to the address in OpenTelemetry's standard variables
 */
export async function startMetrics(
  resource: Resource,
  sinks: { prometheus: boolean; otlp: boolean },
  settings: { exportMsMax: number; environment: NodeJS.ProcessEnv },
): Promise<StartedMetrics> {
  const { MeterProvider } = await import('@opentelemetry/sdk-metrics');
  const prometheus = sinks.prometheus ? await prometheusReader() : null;
  const otlp = sinks.otlp ? await otlpReader(settings) : null;
  const readers = [prometheus, otlp].filter((reader) => reader !== null);
  const provider = new MeterProvider({ resource, readers });
  useMeter(provider.getMeter('coppice'));
  return {
    handler: prometheus === null ? null : (request, response) => prometheus.getMetricsRequestHandler(request, response),
    shutdown: async () => {
      useMeter(null);
      await provider.shutdown();
    },
  };
}

/** Creates a Prometheus reader without a server, since the health server serves the metrics. */
async function prometheusReader() {
  const { PrometheusExporter } = await import('@opentelemetry/exporter-prometheus');
  return new PrometheusExporter({ preventServerStart: true, withoutScopeInfo: true });
}

async function otlpReader({ exportMsMax, environment }: { exportMsMax: number; environment: NodeJS.ProcessEnv }) {
  const [{ PeriodicExportingMetricReader }, { OTLPMetricExporter }] = await Promise.all([
    import('@opentelemetry/sdk-metrics'),
    import('@opentelemetry/exporter-metrics-otlp-http'),
  ]);
  const configured = Number(environment['OTEL_METRIC_EXPORT_INTERVAL']);
  const exportIntervalMillis = configured > 0 ? configured : exportIntervalMs;
  return new PeriodicExportingMetricReader({
    exporter: new OTLPMetricExporter({ timeoutMillis: exportMsMax }),
    exportIntervalMillis,
    exportTimeoutMillis: Math.min(exportMsMax, exportIntervalMillis),
  });
}

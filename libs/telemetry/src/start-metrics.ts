import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Resource } from '@opentelemetry/resources';
import { useMeter } from './metrics.ts';

/** Answers a GET with all metrics in Prometheus' text format. */
export type MetricsHandler = (request: IncomingMessage, response: ServerResponse) => void;
export type StartedMetrics = { handler: MetricsHandler | null; shutdown(): Promise<void> };

/** How often OTLP metrics go out; `OTEL_METRIC_EXPORT_INTERVAL` says otherwise. */
const exportIntervalMs = 60_000;

/**
 * Loads the metrics SDK and switches recording on.
 * @param sinks `prometheus`: there is somebody to ask the handler; `otlp`: they are sent, to where the standard variables say
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

/** Without a server of its own: the health endpoint's answers. */
async function prometheusReader() {
  const { PrometheusExporter } = await import('@opentelemetry/exporter-prometheus');
  return new PrometheusExporter({ preventServerStart: true, withoutScopeInfo: true });
}

async function otlpReader({ exportMsMax, environment }: { exportMsMax: number; environment: NodeJS.ProcessEnv }) {
  const [{ PeriodicExportingMetricReader }, { OTLPMetricExporter }] = await Promise.all([
    import('@opentelemetry/sdk-metrics'),
    import('@opentelemetry/exporter-metrics-otlp-http'),
  ]);
  const asked = Number(environment['OTEL_METRIC_EXPORT_INTERVAL']);
  const exportIntervalMillis = asked > 0 ? asked : exportIntervalMs;
  return new PeriodicExportingMetricReader({
    exporter: new OTLPMetricExporter({ timeoutMillis: exportMsMax }),
    exportIntervalMillis,
    exportTimeoutMillis: Math.min(exportMsMax, exportIntervalMillis),
  });
}

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';

export type CollectedSpan = {
  service: string;
  /** Attribute `service.instance.id` of the process that exported the span. */
  instance: string;
  name: string;
  /** Kind of the span, as OTLP's number: 1 internal, 2 server, 3 client, 4 producer, 5 consumer. */
  kind: number;
  traceId: string;
  spanId: string;
  parentSpanId: string | undefined;
  links: { traceId: string; spanId: string }[];
  /**
   * Milliseconds since 1970, rounded down to full microseconds, since a JavaScript number can't represent nanoseconds
   * exactly.
   */
  startedAtMs: number;
  durationMs: number;
  attributes: Record<string, unknown>;
  /** Status of the span, as OTLP's number: 0 unset, 1 ok, 2 error. */
  status: number;
};

export type CollectedMetric = { service: string; name: string };

export type TraceCollector = AsyncDisposable & {
  url: string;
  spans: readonly CollectedSpan[];
  /** Metrics received so far, with an entry for each export of a metric. */
  metrics: readonly CollectedMetric[];
  /** Environment variables for a process that sends its telemetry to this collector, with a short export delay. */
  environment: Record<string, string>;
  stop(): Promise<void>;
};

/** Starts a receiver of traces and metrics (OTLP/HTTP with JSON) in this process. */
export async function startTraceCollector(): Promise<TraceCollector> {
  const spans: CollectedSpan[] = [];
  const metrics: CollectedMetric[] = [];
  const server = createServer((request, response) => {
    void (async () => {
      const body = await text(request);
      if (request.url === '/v1/traces') spans.push(...spansOf(JSON.parse(body) as OtlpTraces));
      if (request.url === '/v1/metrics') metrics.push(...metricsOf(JSON.parse(body) as OtlpMetrics));
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
    })().catch(() => response.writeHead(400).end());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const stop = async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  return {
    url,
    spans,
    metrics,
    environment: { OTEL_EXPORTER_OTLP_ENDPOINT: url, OTEL_BSP_SCHEDULE_DELAY: '100' },
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

type OtlpValue = {
  stringValue?: string;
  intValue?: number | string;
  doubleValue?: number;
  boolValue?: boolean;
  arrayValue?: { values?: OtlpValue[] };
};
type OtlpAttributes = { key: string; value: OtlpValue }[];
type OtlpSpan = {
  name: string;
  kind?: number;
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  startTimeUnixNano: string;
  endTimeUnixNano: string;
  links?: { traceId: string; spanId: string }[];
  attributes?: OtlpAttributes;
  status?: { code?: number };
};
type OtlpTraces = {
  resourceSpans?: { resource?: { attributes?: OtlpAttributes }; scopeSpans?: { spans?: OtlpSpan[] }[] }[];
};

type OtlpMetrics = {
  resourceMetrics?: {
    resource?: { attributes?: OtlpAttributes };
    scopeMetrics?: { metrics?: { name: string }[] }[];
  }[];
};

function metricsOf(exported: OtlpMetrics): CollectedMetric[] {
  return (exported.resourceMetrics ?? []).flatMap((ofResource) => {
    const service = String(record(ofResource.resource?.attributes)['service.name']);
    const names = (ofResource.scopeMetrics ?? []).flatMap((ofScope) => ofScope.metrics ?? []);
    return names.map(({ name }) => ({ service, name }));
  });
}

function spansOf(traces: OtlpTraces): CollectedSpan[] {
  return (traces.resourceSpans ?? []).flatMap((ofResource) => {
    const resource = record(ofResource.resource?.attributes);
    const [service, instance] = [String(resource['service.name']), String(resource['service.instance.id'])];
    return (ofResource.scopeSpans ?? []).flatMap((ofScope) =>
      (ofScope.spans ?? []).map((span) => ({
        service,
        instance,
        name: span.name,
        kind: span.kind ?? 0,
        traceId: span.traceId,
        spanId: span.spanId,
        parentSpanId: span.parentSpanId === '' ? undefined : span.parentSpanId,
        startedAtMs: Number(BigInt(span.startTimeUnixNano) / 1_000n) / 1e3,
        durationMs: Number(BigInt(span.endTimeUnixNano) - BigInt(span.startTimeUnixNano)) / 1e6,
        links: (span.links ?? []).map(({ traceId, spanId }) => ({ traceId, spanId })),
        attributes: record(span.attributes),
        status: span.status?.code ?? 0,
      })),
    );
  });
}

const record = (attributes: OtlpAttributes = []) =>
  Object.fromEntries(attributes.map(({ key, value }) => [key, plain(value)]));

function plain(value: OtlpValue): unknown {
  if (value.arrayValue !== undefined) return (value.arrayValue.values ?? []).map(plain);
  if (value.intValue !== undefined) return Number(value.intValue);
  return value.stringValue ?? value.doubleValue ?? value.boolValue;
}

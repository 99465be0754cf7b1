export { attributes, genAiOperations, messagingOperations, messagingSystemNats } from './attributes.ts';
export { startTelemetry } from './start.ts';
export type { Telemetry, TelemetrySettings } from './start.ts';
export type { MetricsHandler } from './start-metrics.ts';
export { metricDefinitions, prometheusLabel, prometheusName } from './metric-definitions.ts';
export type { MetricDefinition, MetricName } from './metric-definitions.ts';
export { addToCounter, metricsAreOn, observeGauge, recordValue } from './metrics.ts';
export { BoundedValues } from './bounded-values.ts';
export { spanIdPrefix, storedSpanIdPrefix } from './span-ids.ts';
export { exportStoredSpan, spanIdOf, storedSpanContext } from './stored-span.ts';
export type { StoredContext, StoredSpan } from './stored-span.ts';
export {
  annotateSpan,
  currentTraceparent,
  errorType,
  extractTrace,
  injectTrace,
  isSameTrace,
  linkFrom,
  recordError,
  tracer,
  withSpan,
} from './trace.ts';
export { sampledTraceId } from './trace-parent.ts';
export type { SpanSettings } from './trace.ts';
export { traceParentHeader, traceStateHeader } from './trace-parent.ts';
export { createLogger, logLevels } from './logger.ts';
export type { LogDestination, Logger, LogLevel } from './logger.ts';
export { redact } from './redaction.ts';
export { SpanKind, context as traceContext } from '@opentelemetry/api';
export type { Context, Span } from '@opentelemetry/api';

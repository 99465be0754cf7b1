/**
 * Spans that may last longer than a process. The start time of such a span is stored, and the process in which the span
 * ends exports it. The span's id is derived from the trace and a text. So any process can use the span as a parent
 * before it is exported, and a repeated export has the same id.
 */
import { SpanStatusCode } from '@opentelemetry/api';
import { attributes as names } from './attributes.ts';
import { storedSpanIdOf, withSpanId } from './span-ids.ts';
import { formatTraceParent, parseTraceParent } from './trace-parent.ts';
import { extractTrace, tracer } from './trace.ts';

/** A trace context, as the values of the headers `traceparent` and `tracestate`. */
export type StoredContext = { traceparent: string; tracestate?: string };

/** A span as plain data. Times are milliseconds since 1970. */
export type StoredSpan = {
  name: string;
  spanId: string;
  parentSpanId: string;
  startedAtMs: number;
  endedAtMs: number;
  attributes: Record<string, string>;
  failure: { type: string; message: string } | null;
};

/**
 * Returns the traceparent of the stored span that `what` names in the trace of `traceparent`. Returns null if
 * `traceparent` is null or invalid.
 */
export function storedSpanContext(traceparent: string | null, what: string): string | null {
  const traceId = parseTraceParent(traceparent)?.traceId;
  return traceId === undefined ? null : withSpan(traceparent, storedSpanIdOf(traceId, what));
}

/** Returns null if the traceparent is missing or invalid. */
export const spanIdOf = (traceparent: string | null | undefined): string | null =>
  parseTraceParent(traceparent)?.spanId ?? null;

/**
 * Exports a span that has ended.
 * @param context any context of the span's trace; its flag decides if the span is sampled
 */
export function exportStoredSpan({ traceparent, tracestate }: StoredContext, stored: StoredSpan): void {
  const { name, spanId, parentSpanId, startedAtMs, endedAtMs, attributes, failure } = stored;
  const parent = extractTrace({ traceparent: withSpan(traceparent, parentSpanId) ?? undefined, tracestate });
  const span = withSpanId(spanId, () => tracer().startSpan(name, { startTime: startedAtMs, attributes }, parent));
  if (failure !== null) {
    span.setAttribute(names.errorType, failure.type);
    span.setStatus({ code: SpanStatusCode.ERROR, message: failure.message });
  }
  span.end(endedAtMs);
}

function withSpan(traceparent: string | null, spanId: string): string | null {
  const spanContext = parseTraceParent(traceparent);
  return spanContext === null ? null : formatTraceParent({ ...spanContext, spanId });
}

/**
 * Spans that last longer than a process may: nobody keeps them open. Their ids follow from their trace and from what they are of, so that whoever has the one traceparent
 * that is stored can name them as a parent; their times are stored too, and they are exported when they are over, by whoever ends them. A repeat has the same id.
 */
import { SpanStatusCode } from '@opentelemetry/api';
import { attributes as names } from './attributes.ts';
import { storedSpanIdOf, withSpanId } from './span-ids.ts';
import { formatTraceParent, parseTraceParent } from './trace-parent.ts';
import { extractTrace, tracer } from './trace.ts';

/** A context as text, as the headers of that name have it. */
export type StoredContext = { traceparent: string; tracestate?: string };

/** Plain data. Times are milliseconds since 1970. */
export type StoredSpan = {
  name: string;
  spanId: string;
  parentSpanId: string;
  startedAtMs: number;
  endedAtMs: number;
  attributes: Record<string, string>;
  failure: { type: string; message: string } | null;
};

/** The context of a stored span in the trace of another context; null where that is none. */
export function storedSpanContext(traceparent: string | null, what: string): string | null {
  const traceId = parseTraceParent(traceparent)?.traceId;
  return traceId === undefined ? null : withSpan(traceparent, storedSpanIdOf(traceId, what));
}

/** The span that a context names; null where it names none. */
export const spanIdOf = (traceparent: string | null | undefined): string | null =>
  parseTraceParent(traceparent)?.spanId ?? null;

/** @param context any of its trace, which says too whether it is sampled */
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

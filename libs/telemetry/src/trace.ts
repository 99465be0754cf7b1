import { ROOT_CONTEXT, SpanKind, SpanStatusCode, context, trace } from '@opentelemetry/api';
import type { Attributes, Context, Link, Span, Tracer } from '@opentelemetry/api';
import { attributes as names } from './attributes.ts';
import { formatTraceParent, parseTraceParent, traceParentHeader, traceStateHeader } from './trace-parent.ts';

/** Returns Coppice's tracer, which records nothing until `startTelemetry` switches tracing on. */
export const tracer = (): Tracer => trace.getTracer('coppice');

/**
 * Adds a trace context to the headers of an outgoing message, and returns the changed `headers`. Default: the context
 * of the active span. A context that the headers already contain stays, since a copy of a message must keep the context
 * of its original sender.
 */
export function injectTrace(headers: Record<string, string>, from: Context = context.active()): Record<string, string> {
  if (headers[traceParentHeader] !== undefined) return headers;
  const spanContext = trace.getSpanContext(from);
  const traceParent = spanContext === undefined ? null : formatTraceParent(spanContext);
  if (spanContext === undefined || traceParent === null) return headers;
  headers[traceParentHeader] = traceParent;
  const traceState = spanContext.traceState?.serialize();
  if (traceState !== undefined && traceState !== '') headers[traceStateHeader] = traceState;
  return headers;
}

/**
 * Returns the trace context in an incoming message's headers. If the context is missing or invalid, returns an empty
 * context, so that the next span starts a new trace.
 */
export function extractTrace(headers: Record<string, string | undefined>): Context {
  const spanContext = parseTraceParent(headers[traceParentHeader], headers[traceStateHeader]);
  return spanContext === null ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, spanContext);
}

/** Returns null if no span is active. */
export function currentTraceparent(): string | null {
  const spanContext = trace.getSpanContext(context.active());
  return spanContext === undefined ? null : formatTraceParent(spanContext);
}

/** The array is empty if `traceparent` is missing or invalid. */
export function linkFrom(traceparent: string | null | undefined): Link[] {
  const spanContext = parseTraceParent(traceparent);
  return spanContext === null ? [] : [{ context: spanContext }];
}

export function isSameTrace(left: string | null | undefined, right: string | null | undefined): boolean {
  const traceId = parseTraceParent(left)?.traceId;
  return traceId !== undefined && traceId === parseTraceParent(right)?.traceId;
}

export function activeTraceIds(): { trace_id: string; span_id: string } | undefined {
  const spanContext = trace.getSpanContext(context.active());
  if (spanContext === undefined || !trace.isSpanContextValid(spanContext)) return undefined;
  return { trace_id: spanContext.traceId, span_id: spanContext.spanId };
}

export type SpanSettings = {
  /** Default: internal. */
  kind?: SpanKind;
  /** Default: the active context. */
  parent?: Context;
  links?: Link[];
  attributes?: Attributes;
};

/**
 * Runs `fn` in a new span. The span ends when `fn` ends. If `fn` throws, the error is recorded in the span and thrown
 * again unchanged.
 */
export async function withSpan<Result>(
  name: string,
  settings: SpanSettings,
  fn: (span: Span) => Result | Promise<Result>,
): Promise<Result> {
  const parent = settings.parent ?? context.active();
  const span = tracer().startSpan(
    name,
    {
      kind: settings.kind ?? SpanKind.INTERNAL,
      ...(settings.links === undefined ? {} : { links: settings.links }),
      ...(settings.attributes === undefined ? {} : { attributes: settings.attributes }),
    },
    parent,
  );
  try {
    return await context.with(trace.setSpan(parent, span), () => fn(span));
  } catch (error) {
    recordError(span, error);
    throw error;
  } finally {
    span.end();
  }
}

export function annotateSpan(added: Attributes): void {
  trace.getActiveSpan()?.setAttributes(added);
}

/** Marks a span as failed. Doesn't end the span. Also used for errors that are returned and not thrown. */
export function recordError(span: Span, error: unknown): void {
  if (!span.isRecording()) return;
  const message = error instanceof Error ? error.message : String(error);
  span.recordException(error instanceof Error ? error : message);
  span.setAttribute(names.errorType, errorType(error));
  span.setStatus({ code: SpanStatusCode.ERROR, message });
}

/** Returns the value of `error.type` for an error. This is the error's code or, if it has none, its name. */
export function errorType(error: unknown): string {
  if (!(error instanceof Error)) return typeof error;
  return 'code' in error && typeof error.code === 'string' ? error.code : error.name;
}

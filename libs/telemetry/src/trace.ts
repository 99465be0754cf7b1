import { ROOT_CONTEXT, SpanKind, SpanStatusCode, context, trace } from '@opentelemetry/api';
import type { Attributes, Context, Link, Span, Tracer } from '@opentelemetry/api';
import { attributes as names } from './attributes.ts';
import { formatTraceParent, parseTraceParent, traceParentHeader, traceStateHeader } from './trace-parent.ts';

/** The tracer of everything in Coppice; it does nothing until `startTelemetry` has switched tracing on. */
export const tracer = (): Tracer => trace.getTracer('coppice');

/**
 * Writes the trace context (of the active span, if none is given) into the headers of an outgoing message, unless they have one: a copy of a
 * message keeps its sender's. Changes and returns `headers`.
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

/** The context that an incoming message's headers name; without (valid) ones an empty context, so that its span starts a new trace. */
export function extractTrace(headers: Record<string, string | undefined>): Context {
  const spanContext = parseTraceParent(headers[traceParentHeader], headers[traceStateHeader]);
  return spanContext === null ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, spanContext);
}

/** The active span's trace context as text, to be stored in a durable actor's value; null when there is none. */
export function currentTraceparent(): string | null {
  const spanContext = trace.getSpanContext(context.active());
  return spanContext === undefined ? null : formatTraceParent(spanContext);
}

/** A link to the span that `traceparent` names: none when there isn't one, so that it can be spread into `links`. */
export function linkFrom(traceparent: string | null | undefined): Link[] {
  const spanContext = parseTraceParent(traceparent);
  return spanContext === null ? [] : [{ context: spanContext }];
}

/** Whether both name valid contexts of one trace. */
export function isSameTrace(left: string | null | undefined, right: string | null | undefined): boolean {
  const traceId = parseTraceParent(left)?.traceId;
  return traceId !== undefined && traceId === parseTraceParent(right)?.traceId;
}

/** Trace and span id of the active span, for logs. */
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
 * Runs `fn` in a new span, which ends with it. What `fn` throws is recorded, sets the status to error with the error's `code` or name as
 * `error.type`, and is thrown on unchanged.
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

/** Adds to the active span what only its work finds out; nothing where there is none. */
export function annotateSpan(added: Attributes): void {
  trace.getActiveSpan()?.setAttributes(added);
}

/** Marks a span as failed without ending it: for a failure that is answered instead of thrown. */
export function recordError(span: Span, error: unknown): void {
  if (!span.isRecording()) return;
  const message = error instanceof Error ? error.message : String(error);
  span.recordException(error instanceof Error ? error : message);
  span.setAttribute(names.errorType, errorType(error));
  span.setStatus({ code: SpanStatusCode.ERROR, message });
}

/** What `error.type` says of a failure: its code, else its name. */
export function errorType(error: unknown): string {
  if (!(error instanceof Error)) return typeof error;
  return 'code' in error && typeof error.code === 'string' ? error.code : error.name;
}

import { createTraceState, isSpanContextValid } from '@opentelemetry/api';
import type { SpanContext } from '@opentelemetry/api';

/** Header names of the W3C trace context, in lower case, since NATS header names are case-sensitive. */
export const traceParentHeader = 'traceparent';
export const traceStateHeader = 'tracestate';

/**
 * Maximum length of a tracestate. A longer one is ignored, since publishers choose it and every message and stored
 * state contains a copy.
 */
const traceStateLengthMax = 512;

const pattern = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;

export function formatTraceParent(spanContext: SpanContext): string | null {
  if (!isSpanContextValid(spanContext)) return null;
  const flags = (spanContext.traceFlags & 0xff).toString(16).padStart(2, '0');
  return `00-${spanContext.traceId}-${spanContext.spanId}-${flags}`;
}

/** Returns null if the traceparent is invalid or the trace isn't sampled. */
export function sampledTraceId(traceParent: string | undefined): string | null {
  const spanContext = parseTraceParent(traceParent);
  return spanContext === null || (spanContext.traceFlags & 1) === 0 ? null : spanContext.traceId;
}

/** Parses a trace context. Returns null if the context is invalid. The message is then handled in a new trace. */
export function parseTraceParent(traceParent: string | undefined | null, traceState?: string): SpanContext | null {
  const match = pattern.exec(traceParent?.trim() ?? '');
  if (match === null) return null;
  const [, version, traceId, spanId, flags, rest] = match;
  if (version === 'ff' || (version === '00' && rest !== undefined)) return null;
  const spanContext: SpanContext = {
    traceId: traceId as string,
    spanId: spanId as string,
    traceFlags: Number.parseInt(flags as string, 16),
    isRemote: true,
  };
  if (!isSpanContextValid(spanContext)) return null;
  if (traceState !== undefined && traceState !== '' && traceState.length <= traceStateLengthMax) {
    spanContext.traceState = createTraceState(traceState);
  }
  return spanContext;
}

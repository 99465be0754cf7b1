import {
  attributes as names,
  exportStoredSpan,
  isSameTrace,
  sampledTraceId,
  spanIdOf,
  storedSpanContext,
} from '@coppice/telemetry';
import type { StoredContext, StoredSpan } from '@coppice/telemetry';
import type { SpanDescription } from './definition.ts';
import type { ActorValue } from './value.ts';

/**
 * Spans of an actor's life and of its states.
 *
 * Invariants:
 * 1. No process keeps a span open. The span's id is derived from the trace and the actor, and its times are stored with
 *    the actor. So any process can use the span as a parent before the span has ended.
 * 2. A span is exported after the transition that ended it is stored and published, and before the message of that
 *    transition is acknowledged. If the message is redelivered, the span is exported again with the same id and times.
 *    If the process is killed before its exporter sends a span, the span may be lost.
 * 3. If an actor has spans, its `traceparent` is the context of its life span.
 */
export type ActorSpans = {
  parentSpanId: string;
  /** The tracestate under which the actor was created, if there was one. */
  tracestate?: string;
  /** Number of states entered so far, including the current state. */
  entered: number;
  state: { name: string; sinceMs: number } | null;
  /** Spans that the last transition ended. */
  ended: StoredSpan[];
};

/** Returns the name from which a span's id is derived. */
const lifeOf = ({ kind, id }: { kind: string; id: string }): string => `${kind}/${id}`;
const stateOf = (value: ActorValue, entered: number): string => `${lifeOf(value)}/${entered}`;

/**
 * Returns the parent context for the actor's current work. This is the span of the current state, or else the life
 * span. If the actor has no spans, it is the context in which the actor was created.
 */
export function contextOf(value: ActorValue): StoredContext | null {
  const { spans } = value;
  const traceparent =
    spans === undefined || spans.state === null
      ? value.traceparent
      : storedSpanContext(value.traceparent, stateOf(value, spans.entered));
  if (traceparent === null) return null;
  return spans?.tracestate === undefined ? { traceparent } : { traceparent, tracestate: spans.tracestate };
}

/**
 * Starts and ends the spans of a value that is about to be stored. Changes the value.
 * @param handling context of the span in which the message is handled; empty if tracing is off
 * @param sender traceparent of the message's sender
 */
export function trackSpans(
  value: ActorValue,
  description: SpanDescription | null,
  { handling, sender }: { handling: Partial<StoredContext>; sender: string | undefined },
): void {
  const origin = value.traceparent ?? handling.traceparent ?? null;
  // An actor that was created by a version without spans gets spans from this transition on.
  const spans = description === null ? null : (value.spans ?? beginning(value, description, origin, sender));
  if (description === null || spans === null) {
    value.traceparent = origin;
    delete value.spans;
    return;
  }
  // Only the tracestate of the creation is stored, since later messages may belong to other traces.
  if (value.traceparent === null && handling.tracestate !== undefined) spans.tracestate = handling.tracestate;
  value.spans = spans;
  value.traceparent = storedSpanContext(origin, lifeOf(value));
  advance(value, spans, description);
}

function beginning(
  value: ActorValue,
  { within }: SpanDescription,
  origin: string | null,
  sender: string | undefined,
): ActorSpans | null {
  if (sampledTraceId(origin ?? undefined) === null) return null;
  const made = isSameTrace(sender, origin) && value.traceparent === null ? sender : origin;
  const parentSpanId = spanIdOf(within === null ? made : storedSpanContext(origin, lifeOf(within)));
  return parentSpanId === null ? null : { parentSpanId, entered: 0, state: null, ended: [] };
}

function advance(value: ActorValue, spans: ActorSpans, description: SpanDescription): void {
  const { kind, status, createdAtMs, updatedAtMs: endedAtMs } = value;
  const { attributes, end, failure } = description;
  const lifeId = spanIdOf(value.traceparent) ?? '';
  const next = status === 'done' ? null : description.state;
  spans.ended = [];
  if (spans.state?.name !== next) {
    if (spans.state !== null) {
      const { name, sinceMs } = spans.state;
      spans.ended.push({
        name: `${kind} ${name}`,
        spanId: spanIdOf(contextOf(value)?.traceparent) ?? '',
        parentSpanId: lifeId,
        startedAtMs: sinceMs,
        endedAtMs,
        attributes: { ...attributes, [names.coppiceState]: name },
        failure: null,
      });
    }
    if (next !== null) spans.entered += 1;
    spans.state = next === null ? null : { name: next, sinceMs: endedAtMs };
  }
  if (status !== 'done') return;
  const { parentSpanId } = spans;
  spans.ended.push({
    name: kind,
    spanId: lifeId,
    parentSpanId,
    startedAtMs: createdAtMs,
    endedAtMs,
    attributes: { ...attributes, [names.coppiceState]: end },
    failure,
  });
}

/** Exports the spans that the last transition ended. That transition must already be stored. */
export function exportEnded(value: ActorValue): void {
  const context = contextOf(value);
  if (context !== null) for (const span of value.spans?.ended ?? []) exportStoredSpan(context, span);
}

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
 * The spans of an actor's life and of its states, where its definition asks for them.
 *
 * Invariants:
 * 1. No process keeps one open. An id follows from the trace and from what the span is of, its times are stored with the actor; so what happens meanwhile can name it as
 *    its parent, whoever handles it.
 * 2. It is exported when it is over: after that is stored and dispatched, and before the message that ended it is acknowledged. A redelivery of that message exports it
 *    again, with the same id and times. What a process that is killed hadn't sent yet of it is lost, as with any span.
 * 3. `traceparent` of such an actor is that of its life.
 */
export type ActorSpans = {
  /** Of the life's parent. */
  parentSpanId: string;
  /** Where the actor was born with one. */
  tracestate?: string;
  /** States so far, the present one included. */
  entered: number;
  state: { name: string; sinceMs: number } | null;
  /** What the transition that was stored last has ended. */
  ended: StoredSpan[];
};

/** What a span is of, within its trace. */
const lifeOf = ({ kind, id }: { kind: string; id: string }): string => `${kind}/${id}`;
const stateOf = (value: ActorValue, entered: number): string => `${lifeOf(value)}/${entered}`;

/** What belongs to an actor now is a child of this: of its state, else of its life; of what it was born in where it has no spans of its own. */
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
 * Begins and ends the spans of a value that is about to be stored. Changes it.
 * @param handling context of the span in which the message is handled, empty without traces
 * @param sender context that the message came with
 */
export function trackSpans(
  value: ActorValue,
  description: SpanDescription | null,
  { handling, sender }: { handling: Partial<StoredContext>; sender: string | undefined },
): void {
  const origin = value.traceparent ?? handling.traceparent ?? null;
  // An actor that a version without them made has its spans from now on.
  const spans = description === null ? null : (value.spans ?? beginning(value, description, origin, sender));
  if (description === null || spans === null) {
    value.traceparent = origin;
    delete value.spans;
    return;
  }
  // Of the birth: what comes later may be of another trace.
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

/** Of what a stored transition has ended. */
export function exportEnded(value: ActorValue): void {
  const context = contextOf(value);
  if (context !== null) for (const span of value.spans?.ended ?? []) exportStoredSpan(context, span);
}

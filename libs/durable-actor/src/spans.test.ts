import { expect, test } from 'vitest';
import { storedSpanIdPrefix } from '@coppice/telemetry';
import type { SpanDescription } from './index.ts';
import { contextOf, trackSpans } from './spans.ts';
import { born, create, event, next } from './test-support/pure.ts';
import type { ActorValue } from './value.ts';

/** Tests the stored parts of an actor's spans. trace.test.ts tests the export. */
const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';
const [handlingId, senderId] = ['00f067aa0ba902b7', '00f067aa0ba902b8'];
const handling = `00-${traceId}-${handlingId}-01`;
const sender = `00-${traceId}-${senderId}-01`;
const tracestate = 'vendor=1';
const places = { handling: { traceparent: handling, tracestate }, sender };
const own = { attributes: {}, end: 'over', failure: null };
const described = (state: string | null, within: SpanDescription['within'] = null): SpanDescription => ({
  ...own,
  state,
  within,
});
const bornAs = (description: SpanDescription | null): ActorValue => {
  const value = next(null, create('c'));
  trackSpans(value, description, places);
  return value;
};
const later = (value: ActorValue, description: SpanDescription | null, nowMs: number): ActorValue => {
  const after = next(value, event(`m${nowMs}`, { type: 'pad', text: 'x' }), nowMs);
  trackSpans(after, description, {
    handling: { traceparent: `00-${'a'.repeat(32)}-${senderId}-01` },
    sender: undefined,
  });
  return after;
};

test("a life span is a child of its creator's span; the state's span is the parent of the work in that state", () => {
  const value = bornAs(described('waiting'));
  expect(value.spans).toEqual({
    parentSpanId: senderId,
    tracestate,
    entered: 1,
    state: { name: 'waiting', sinceMs: born },
    ended: [],
  });
  const life = new RegExp(`^00-${traceId}-${storedSpanIdPrefix}[0-9a-f]{10}-01$`);
  expect(value.traceparent).toMatch(life);
  expect(contextOf(value)).toEqual({ traceparent: expect.stringMatching(life) as string, tracestate });
  expect(contextOf(value)?.traceparent).not.toBe(value.traceparent);
  expect(bornAs(described('waiting'))).toEqual(value);
  const whole = bornAs(described(null));
  expect(contextOf(whole)?.traceparent).toBe(whole.traceparent);
});

test("a state's span ends when another state begins, not when the same one is reported again; each entry is a new span", () => {
  const waiting = bornAs(described('waiting'));
  const still = later(waiting, described('waiting'), born + 5);
  expect(still.spans).toEqual(waiting.spans);
  const busy = later(still, described('busy'), born + 10);
  expect(busy.spans?.ended).toMatchObject([{ name: 'job waiting', startedAtMs: born, endedAtMs: born + 10 }]);
  const again = later(busy, described('waiting'), born + 20);
  expect(again.spans?.ended).toMatchObject([{ name: 'job busy', startedAtMs: born + 10, endedAtMs: born + 20 }]);
  expect(again.traceparent).toBe(waiting.traceparent);
  expect(contextOf(again)).not.toEqual(contextOf(waiting));
});

test('an actor that an earlier version created has spans from now on, below its stored context', () => {
  const old = next(null, create('c'));
  old.traceparent = sender;
  const value = later(old, described('waiting'), born + 10);
  expect(value.spans).toMatchObject({ parentSpanId: senderId, state: { name: 'waiting', sinceMs: born + 10 } });
  expect(value.traceparent).toContain(traceId);
});

test('without a description, a trace or sampling there are no spans; work belongs to the context of the creation', () => {
  expect(bornAs(null)).toMatchObject({ traceparent: handling });
  for (const unsampled of [null, handling.replace(/01$/, '00')]) {
    const value = next(null, create('c'));
    trackSpans(value, described('waiting'), {
      handling: unsampled === null ? {} : { traceparent: unsampled },
      sender: undefined,
    });
    expect(value).toMatchObject({ traceparent: unsampled });
    expect(value.spans).toBeUndefined();
    expect(contextOf(value)?.traceparent ?? null).toBe(unsampled);
  }
  // The definition no longer describes spans. So the stored spans are removed, since nothing would end them.
  expect(later(bornAs(described('waiting')), null, born + 1).spans).toBeUndefined();
});

import { expect, test } from 'vitest';
import { extractTrace, injectTrace, isSameTrace } from './trace.ts';

const [traceId, otherTraceId, spanId] = ['4bf92f3577b34da6a3ce929d0e0e4736', 'a'.repeat(32), '00f067aa0ba902b7'];
const traceparent = `00-${traceId}-${spanId}-01`;
const other = `00-${otherTraceId}-${spanId}-01`;

test('a message gets the context of its sender, and a copy of the message keeps that context', () => {
  expect(injectTrace({}, extractTrace({ traceparent }))).toEqual({ traceparent });
  expect(injectTrace({ traceparent: other }, extractTrace({ traceparent }))).toEqual({ traceparent: other });
  expect(injectTrace({}, extractTrace({ traceparent: 'nonsense' }))).toEqual({});
});

test('two contexts belong to the same trace if both are valid and have the same trace id', () => {
  expect(isSameTrace(traceparent, `00-${traceId}-${'b'.repeat(16)}-00`)).toBe(true);
  expect(isSameTrace(traceparent, other)).toBe(false);
  expect(isSameTrace(undefined, undefined)).toBe(false);
  expect(isSameTrace('nonsense', 'nonsense')).toBe(false);
});

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatTraceParent, parseTraceParent } from './trace-parent.ts';

const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';
const spanId = '00f067aa0ba902b7';

test('a trace context that is written and then read is unchanged', () => {
  const text = `00-${traceId}-${spanId}-01`;
  const spanContext = parseTraceParent(text, 'vendor=1');
  expect(spanContext).toMatchObject({ traceId, spanId, traceFlags: 1, isRemote: true });
  expect(spanContext?.traceState?.get('vendor')).toBe('1');
  expect(spanContext && formatTraceParent(spanContext)).toBe(text);
});

test.each([
  undefined,
  null,
  '',
  'nonsense',
  `ff-${traceId}-${spanId}-01`,
  `00-${'0'.repeat(32)}-${spanId}-01`,
  `00-${traceId}-${'0'.repeat(16)}-01`,
  `00-${traceId.toUpperCase()}-${spanId}-01`,
  `00-${traceId}-${spanId}-01-extra`,
])('%s is no trace context', (text) => {
  expect(parseTraceParent(text)).toBeNull();
});

test('the first four parts of a later version are read', () => {
  expect(parseTraceParent(`01-${traceId}-${spanId}-01-what-comes-later`)).toMatchObject({ traceId });
});

test('the parser never throws', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 80 }), fc.string({ maxLength: 600 }), (parent, state) => {
      expect(() => parseTraceParent(parent, state)).not.toThrow();
      expect(parseTraceParent(`00-${traceId}-${spanId}-01`, state)).toMatchObject({ traceId });
    }),
  );
});

import { expect, test } from 'vitest';
import { BoundedCapture } from '../engine/output.ts';
import { boundOutput } from './bound.ts';

function captured(text: string, keepBytes: number) {
  const capture = new BoundedCapture(keepBytes);
  capture.push(Buffer.from(text));
  return capture.result();
}

test('output that fits is returned completely', () => {
  expect(boundOutput(captured('short', 100), 100)).toEqual({ text: 'short', whole: true });
});

test.each([
  ['the engine has kept all output', 10_000],
  ['the engine has already left out a part', 700],
])('long output keeps its beginning and end, and every byte left out is counted: %s', (_name, keepBytes) => {
  const lines = Array.from({ length: 1_000 }, (_, index) => `line ${index}\n`).join('');
  const { text, whole } = boundOutput(captured(lines, keepBytes), 1_000);
  expect(whole).toBe(false);
  expect(text.length).toBeLessThan(1_050);
  const [, start = '', leftOut = '', end = ''] = /^(.*)\n… (\d+) bytes left out …\n(.*)$/s.exec(text) ?? [];
  expect(lines.startsWith(start)).toBe(true);
  expect(lines.endsWith(end)).toBe(true);
  expect(start.length + Number(leftOut) + end.length).toBe(lines.length);
});

test('a character that was cut in half is not shown', () => {
  expect(boundOutput(captured('😀'.repeat(1_000), 10_000), 501).text.isWellFormed()).toBe(true);
});

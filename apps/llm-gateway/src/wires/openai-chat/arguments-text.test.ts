import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ArgumentsText } from './arguments-text.ts';

function isJsonObject(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value);
  } catch {
    return false;
  }
}

const json = fc.oneof(
  fc.dictionary(fc.string(), fc.jsonValue()).map((value) => JSON.stringify(value)),
  fc
    .array(fc.constantFrom('{', '}', '[', ']', '"', '\\', ',', ':', ' ', '\n', '\u00a0', '1', '"a":', '{}'))
    .map((each) => each.join('')),
);

test('arguments are whole after a piece if all pieces so far are a JSON object, however they were split', () => {
  fc.assert(
    fc.property(fc.array(json, { maxLength: 3 }), fc.integer({ min: 1, max: 5 }), (texts, size) => {
      const whole = texts.join('');
      const come = new ArgumentsText();
      const wrong: string[] = [];
      for (let at = 0; at < whole.length; at += size) {
        come.add(whole.slice(at, at + size));
        const soFar = whole.slice(0, at + size);
        if (come.areWhole !== isJsonObject(soFar)) wrong.push(soFar);
      }
      expect(wrong).toEqual([]);
      expect(come.isBlank).toBe(whole.trim() === '');
    }),
    { numRuns: 1_000 },
  );
});

import { expect, test } from 'vitest';
import { clockText, costText, jsonLine, plainLine, plainText, visibleControls } from './text.ts';

test.each([
  ['colours', '\u001B[31mred\u001B[0m', 'red'],
  ['cursor movement', 'a\u001B[2J\u001B[1;1Hb', 'ab'],
  ['a window title', '\u001B]0;owned\u0007text', 'text'],
  ['a link with its end in two characters', '\u001B]8;;https://example.invalid\u001B\\text\u001B]8;;\u001B\\', 'text'],
  ['a device string', '\u001BPq#0;2;0;0;0\u001B\\text', 'text'],
  ['the 8-bit form', '\u009B31mred\u009D0;owned\u009C', 'red'],
  ['a sequence without end', 'a\u001B]0;never ended', 'a0;never ended'],
  ['two-character sequences', '\u001Bca\u001B(Bb', 'ab'],
  ['a lone escape', 'a\u001B', 'a'],
  ['backspace, bell, NUL', 'safe\b\b\b\b\u0007\u0000evil', 'safeevil'],
  ['carriage return that hides a line', 'rm -rf /\recho hello', 'rm -rf /echo hello'],
  ['Windows line ends', 'a\r\nb', 'a\nb'],
  ['text turned around', 'a\u202Egnp.exe', 'agnp.exe'],
])('removes %s from text', (_what, text, expected) => {
  expect(plainText(text)).toBe(expected);
});

test('plainText keeps line feeds and tabs; plainLine replaces them by spaces', () => {
  expect(plainText('a\tb\nc')).toBe('a\tb\nc');
  expect(plainLine(' a\tb\nc\u2028d\re ')).toBe('a b c d e');
});

test('control characters become visible, and all other text stays as it is', () => {
  const controls = Array.from({ length: 0xa0 }, (_, code) => String.fromCharCode(code));
  const text = `diff --git a/x b/x\r\n+\tünï 日本 \u05D0\u200F\uFFFD ${controls.slice(0x20, 0x7f).join('')}\n`;
  expect(visibleControls(text)).toBe(text);
  expect(visibleControls(controls.join(''))).not.toMatch(/[\u0000-\u0008\u000B-\u001F\u007F-\u009F]/);
  expect(visibleControls('a\u001B[31m\rb\u007F\u009Bc')).toBe('a\u241B[31m\u240Db\u2421\uFFFDc');
});

test('JSON lines contain no character that controls a terminal, and parse to the same value', () => {
  const value = { text: '\u001B[31m\u009B31m\u007F\u202E\u2028 ünïcode' };
  const line = jsonLine(value);
  expect(line).not.toMatch(/[\u0000-\u001F\u007F-\u009F\u2028\u202E]/);
  expect(JSON.parse(line)).toEqual(value);
});

test('prints durations as a clock does', () => {
  expect([0, 7_900, 754_000, 3_723_000].map(clockText)).toEqual(['0:00', '0:07', '12:34', '1:02:03']);
});

test.each([
  [null, 'cost unknown'],
  [0, '0 USD'],
  [12.34567, '12.3457 USD'],
  [0.01234, '0.0123 USD'],
  [0.00048, '0.00048 USD'],
  [0.0000123, '0.000012 USD'],
  [1e-9, '0.0000000010 USD'],
])('a cost of %s is shown as %s', (cost, shown) => {
  expect(costText(cost)).toBe(shown);
});

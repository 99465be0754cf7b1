/** Makes text of agents, models and commands safe for a terminal. Pure. */
import type { UnprotectedPart, Usage } from '@coppice/contracts';

/**
 * Escape sequences of ECMA-48 in 7-bit and 8-bit form: CSI, terminated strings (OSC, DCS, SOS, PM, APC), and
 * two-character sequences. An unterminated string doesn't match, since the match would include the rest of the text.
 */
const escapeSequences =
  /(?:\u001B\[|\u009B)[0-?]*[ -/]*[@-~]|(?:\u001B[\]PX^_]|[\u0090\u0098\u009D-\u009F])[^\u0007\u001B\u009C]{0,4096}(?:\u0007|\u001B\\|\u009C)|\u001B[ -/]*[0-~]/g;
/** C0 except tab and line feed, DEL, C1, and characters that change the writing direction. */
const unsafeCharacters = /[\u0000-\u0008\u000B-\u001F\u007F-\u009F\u200E\u200F\u202A-\u202E\u2066-\u2069]/g;

/** Removes everything that could move the cursor, change colours or hide text. Keeps tabs and line feeds. */
export function plainText(text: string): string {
  return text.replaceAll('\r\n', '\n').replace(escapeSequences, '').replace(unsafeCharacters, '');
}

/** C0 except tab, line feed and the carriage return of CRLF, and DEL and C1. */
const controlCharacters = /[\u0000-\u0008\u000B\u000C\u000E-\u001F\u007F-\u009F]|\r(?!\n)/g;

/** Replaces C0 and DEL by their symbols (U+2400 to U+2421), and C1 by U+FFFD. */
export const visibleControls = (text: string): string =>
  text.replace(controlCharacters, (character) => {
    const code = character.charCodeAt(0);
    if (code === 0x7f) return '\u2421';
    return code < 0x20 ? String.fromCharCode(0x2400 + code) : '\uFFFD';
  });

/** Like `plainText`, but joins the text to one line. */
export function plainLine(text: string): string {
  return plainText(text.replaceAll('\r', '\n'))
    .replaceAll(/[\n\t\u2028\u2029]+/g, ' ')
    .trim();
}

/** Returns JSON in one line. Also escapes DEL, C1 and direction characters, which JSON.stringify doesn't escape. */
export function jsonLine(value: unknown): string {
  return JSON.stringify(value).replaceAll(
    /[\u007F-\u009F\u200E\u200F\u2028-\u202E\u2066-\u2069]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** Formats a duration as `0:07`, `12:34` or `1:02:03`. */
export function clockText(milliseconds: number): string {
  const seconds = Math.max(0, Math.floor(milliseconds / 1_000));
  const [hours, minutes, rest] = [Math.floor(seconds / 3_600), Math.floor(seconds / 60) % 60, seconds % 60];
  const tail = `${hours > 0 ? String(minutes).padStart(2, '0') : minutes}:${String(rest).padStart(2, '0')}`;
  return hours > 0 ? `${hours}:${tail}` : tail;
}

/** Formats a duration as `12 ms` or `1.2 s`. From a minute on, the format is that of `clockText`. */
export function durationText(milliseconds: number): string {
  if (milliseconds < 1_000) return `${Math.max(0, Math.round(milliseconds))} ms`;
  return milliseconds < 59_950 ? `${(milliseconds / 1_000).toFixed(1)} s` : clockText(milliseconds);
}

/**
 * Formats the cost of model calls with four decimals, such as `0.2500 USD`. Small amounts get two significant digits,
 * such as `0.000048 USD`. Null means unknown.
 */
export function costText(costUsd: number | null): string {
  if (costUsd === null) return 'cost unknown';
  if (costUsd === 0) return '0 USD';
  const decimalsOfTwoDigits = 1 - Math.floor(Math.log10(costUsd));
  return `${costUsd.toFixed(Math.min(100, Math.max(4, decimalsOfTwoDigits)))} USD`;
}

/** Formats usage as `812 tokens in, 64 out, 0.0030 USD`. */
export const usageText = ({ inputTokens, outputTokens, costUsd }: Usage): string =>
  `${inputTokens} tokens in, ${outputTokens} out, ${costText(costUsd)}`;

export const unprotectedText = ({ part, why }: UnprotectedPart): string => `"${part}": ${why}`;

/** Formats an age as `just now`, `5 min ago`, `3 h ago` or `2 d ago`. */
export function agoText(milliseconds: number): string {
  const minutes = Math.floor(milliseconds / 60_000);
  if (minutes < 1) return 'just now';
  if (minutes < 60) return `${minutes} min ago`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ago` : `${Math.floor(hours / 24)} d ago`;
}

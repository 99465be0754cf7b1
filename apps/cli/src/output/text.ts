/** Makes text from others (agents, models, commands) safe for a terminal. Pure. */
import type { UnprotectedPart, Usage } from '@coppice/contracts';

/**
 * Escape sequences in 7-bit and 8-bit form: CSI; strings (OSC, DCS, SOS, PM, APC) with their terminator; two-character ones. An
 * unterminated string doesn't match, since it would remove the rest of the text. `unsafeCharacters` removes its control characters.
 */
const escapeSequences =
  /(?:\u001B\[|\u009B)[0-?]*[ -/]*[@-~]|(?:\u001B[\]PX^_]|[\u0090\u0098\u009D-\u009F])[^\u0007\u001B\u009C]{0,4096}(?:\u0007|\u001B\\|\u009C)|\u001B[ -/]*[0-~]/g;
/** C0 except tab and line feed, DEL, C1, and characters that change the direction of text. */
const unsafeCharacters = /[\u0000-\u0008\u000B-\u001F\u007F-\u009F\u200E\u200F\u202A-\u202E\u2066-\u2069]/g;

/** Removes everything that could move the cursor, change colours or hide text. Keeps line feeds and tabs. */
export function plainText(text: string): string {
  return text.replaceAll('\r\n', '\n').replace(escapeSequences, '').replace(unsafeCharacters, '');
}

/** C0 except tab, line feed and the carriage return of CRLF; DEL, C1. */
const controlCharacters = /[\u0000-\u0008\u000B\u000C\u000E-\u001F\u007F-\u009F]|\r(?!\n)/g;

/** Replaces control characters by their symbols (U+2400…), C1 by U+FFFD. All other text stays. */
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

/** Returns JSON in one line. Also escapes the control characters that JSON.stringify doesn't escape. */
export function jsonLine(value: unknown): string {
  return JSON.stringify(value).replaceAll(
    /[\u007F-\u009F\u200E\u200F\u2028-\u202E\u2066-\u2069]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** `0:07`, `12:34`, `1:02:03`. */
export function clockText(milliseconds: number): string {
  const seconds = Math.max(0, Math.floor(milliseconds / 1_000));
  const [hours, minutes, rest] = [Math.floor(seconds / 3_600), Math.floor(seconds / 60) % 60, seconds % 60];
  const tail = `${hours > 0 ? String(minutes).padStart(2, '0') : minutes}:${String(rest).padStart(2, '0')}`;
  return hours > 0 ? `${hours}:${tail}` : tail;
}

/** `12 ms`, `1.2 s`; for a minute and more, the same as `clockText`. */
export function durationText(milliseconds: number): string {
  if (milliseconds < 1_000) return `${Math.max(0, Math.round(milliseconds))} ms`;
  return milliseconds < 59_950 ? `${(milliseconds / 1_000).toFixed(1)} s` : clockText(milliseconds);
}

/** Cost of model calls: `0.2500 USD`; small amounts with two significant digits: `0.000048 USD`. Null means unknown. */
export function costText(costUsd: number | null): string {
  if (costUsd === null) return 'cost unknown';
  if (costUsd === 0) return '0 USD';
  const decimalsOfTwoDigits = 1 - Math.floor(Math.log10(costUsd));
  return `${costUsd.toFixed(Math.min(100, Math.max(4, decimalsOfTwoDigits)))} USD`;
}

/** `812 tokens in, 64 out, 0.0030 USD`. */
export const usageText = ({ inputTokens, outputTokens, costUsd }: Usage): string =>
  `${inputTokens} tokens in, ${outputTokens} out, ${costText(costUsd)}`;

/** A part of a verify command that no protected file defines, and why. */
export const unprotectedText = ({ part, why }: UnprotectedPart): string => `"${part}": ${why}`;

/** `just now`, `5 min ago`, `3 h ago`, `2 d ago`. */
export function agoText(milliseconds: number): string {
  const minutes = Math.floor(milliseconds / 60_000);
  if (minutes < 1) return 'just now';
  if (minutes < 60) return `${minutes} min ago`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ago` : `${Math.floor(hours / 24)} d ago`;
}

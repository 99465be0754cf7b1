/** Text in columns of a terminal. Pure. */
import stringWidth from 'string-width';

const segmenter = new Intl.Segmenter('en', { granularity: 'grapheme' });

/** Returns the columns that a text takes on a terminal; colour sequences take none. */
export const displayWidth = (text: string): number => stringWidth(text);

/** Truncates a text without colours to a number of columns and marks the omission with `…`. */
export function truncate(text: string, columns: number): string {
  if (displayWidth(text) <= columns) return text;
  if (columns <= 0) return '';
  let out = '';
  let width = 0;
  for (const { segment } of segmenter.segment(text)) {
    const next = width + displayWidth(segment);
    if (next > columns - 1) break;
    out += segment;
    width = next;
  }
  return `${out}…`;
}

export const padEnd = (text: string, columns: number): string =>
  text + ' '.repeat(Math.max(0, columns - displayWidth(text)));

import stringWidth from 'string-width';

const segmenter = new Intl.Segmenter('en', { granularity: 'grapheme' });

/** Returns the number of columns that a text takes on a terminal. Colour sequences take none. */
export const displayWidth = (text: string): number => stringWidth(text);

/** Truncates a text to a number of columns, including a final `…`. The text must not contain colours. */
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

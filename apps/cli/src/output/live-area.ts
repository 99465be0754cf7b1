/**
 * The lower part of a terminal, which is redrawn in place.
 *
 * Invariants:
 * 1. The cursor stays in the first column below the last drawn line. Erasing moves the cursor up by the rows that the drawn lines take at
 *    the terminal's current width, since a narrower terminal wraps lines. It never moves above the first drawn line.
 * 2. No drawn line is wider than the terminal, and there are never more lines than rows, since lines that have scrolled away can't be
 *    erased.
 */
import { displayWidth } from './width.ts';

export type LiveArea = {
  /** Replaces the drawn lines. Lines must fit into the terminal's size. */
  draw(lines: readonly string[]): void;
  /** Writes a permanent line above the area. */
  print(line: string): void;
  /** Erases the drawn lines. */
  clear(): void;
};

const eraseBelow = '\u001B[J';
const up = (rows: number) => (rows > 0 ? `\u001B[${rows}A` : '');

export function liveArea(write: (text: string) => void, size: () => { columns: number; rows: number }): LiveArea {
  let drawn: readonly string[] = [];
  const erase = () => {
    const { columns, rows } = size();
    const taken = drawn.reduce((sum, line) => sum + Math.max(1, Math.ceil(displayWidth(line) / columns)), 0);
    return drawn.length === 0 ? '' : `\r${up(Math.min(taken, rows - 1))}${eraseBelow}`;
  };
  const text = (lines: readonly string[]) => lines.map((line) => `${line}\n`).join('');
  return {
    draw: (lines) => {
      const next = lines.slice(0, Math.max(1, size().rows - 1));
      // Everything is written in one call, to avoid flicker.
      write(erase() + text(next));
      drawn = next;
    },
    print: (line) => write(`${erase()}${line}\n${text(drawn)}`),
    clear: () => {
      write(erase());
      drawn = [];
    },
  };
}

/**
 * The lower part of a terminal, which is drawn again in the same place.
 *
 * Invariants:
 * 1. Between calls, the cursor is in the first column below the last drawn line. To erase, the cursor moves up by the
 *    rows that the drawn lines take at the current width. A terminal that has become narrower has wrapped them.
 * 2. Fewer lines are drawn than the terminal has rows, since a line that has scrolled out can't be erased.
 */
import { displayWidth } from './width.ts';

export type LiveArea = {
  /** Replaces the drawn lines. No line may be wider than the terminal. */
  draw(lines: readonly string[]): void;
  /** Writes a permanent line above the area. */
  print(line: string): void;
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
      // One write for everything avoids flicker.
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

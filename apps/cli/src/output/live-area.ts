/**
 * The lower part of a terminal, drawn over and over.
 *
 * Invariants:
 * 1. The cursor rests in the first column below the last line drawn; erasing goes up by the rows that those lines take in the terminal's
 *    present width (a narrowed terminal wraps them), and never above the first of them.
 * 2. No line drawn is wider than the terminal, nor are more drawn than it has rows: what has scrolled away can't be erased.
 */
import { displayWidth } from './text.ts';

export type LiveArea = {
  /** Replaces what is drawn. Lines must fit: see `size`. */
  draw(lines: readonly string[]): void;
  /** Writes a line above, that stays. */
  print(line: string): void;
  /** Erases what is drawn. */
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
      // In one write, so that nothing flickers.
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

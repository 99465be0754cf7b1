import { isatty } from 'node:tty';
import { colours, wantsColours } from './colours.ts';
import type { Colours } from './colours.ts';

/** Where a command writes: results to `out`, everything about the work to `err`. */
export type Terminal = {
  /** As it is, to where results go. */
  write: (data: string | Uint8Array) => void;
  out(text: string): void;
  err(text: string): void;
  /** Whether results go to a terminal; then they may be drawn over. */
  interactive: boolean;
  /** Of standard output. */
  colours: Colours;
  size: () => { columns: number; rows: number };
  onResize(listener: () => void): { remove(): void };
};

const defaultSize = { columns: 80, rows: 24 };

/** This process's own standard streams. */
export function processTerminal(environment: NodeJS.ProcessEnv = process.env): Terminal {
  const { stdout, stderr } = process;
  // A reader such as `head` that has seen enough isn't a failure of ours.
  for (const stream of [stdout, stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') process.exit();
      throw error;
    });
  }
  return {
    write: (data) => void stdout.write(data),
    out: (text) => void stdout.write(`${text}\n`),
    err: (text) => void stderr.write(`${text}\n`),
    interactive: isatty(1) && environment['TERM'] !== 'dumb' && (environment['CI'] ?? '') === '',
    colours: colours(wantsColours(stdout, environment)),
    size: () => ({ columns: stdout.columns || defaultSize.columns, rows: stdout.rows || defaultSize.rows }),
    onResize: (listener) => {
      stdout.on('resize', listener);
      return { remove: () => void stdout.off('resize', listener) };
    },
  };
}

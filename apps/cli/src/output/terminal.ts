import { isatty } from 'node:tty';
import { colours, wantsColours } from './colours.ts';
import type { Colours } from './colours.ts';

/** Output of a command. Results go to `out`, messages about progress and problems to `err`. */
export type Terminal = {
  /** Writes unchanged data to stdout. */
  write: (data: string | Uint8Array) => void;
  out(text: string): void;
  err(text: string): void;
  /** True if stdout is a terminal, so that lines can be redrawn. */
  interactive: boolean;
  /** Colours for stdout. */
  colours: Colours;
  size: () => { columns: number; rows: number };
  onResize(listener: () => void): { remove(): void };
};

const defaultSize = { columns: 80, rows: 24 };

export function processTerminal(environment: NodeJS.ProcessEnv = process.env): Terminal {
  const { stdout, stderr } = process;
  // A reader such as `head` may close the pipe early without an error.
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

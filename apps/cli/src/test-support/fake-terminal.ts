import { colours } from '../output/colours.ts';
import type { Terminal } from '../output/terminal.ts';
import { Screen } from './screen.ts';

export type FakeTerminal = Terminal & {
  screen: Screen;
  output: string[];
  complaints: string[];
  resize(columns: number): void;
};

/** A terminal that records its output. If `interactive` is false, it acts as a pipe. */
export function fakeTerminal(settings: { interactive: boolean; columns?: number; rows?: number }): FakeTerminal {
  const screen = new Screen(settings.columns ?? 80, settings.rows ?? 24);
  const listeners = new Set<() => void>();
  const output: string[] = [];
  const complaints: string[] = [];
  return {
    screen,
    output,
    complaints,
    interactive: settings.interactive,
    colours: colours(false),
    write: (data) => {
      const text = typeof data === 'string' ? data : new TextDecoder().decode(data);
      output.push(text);
      screen.write(text);
    },
    out: (text) => {
      output.push(`${text}\n`);
      screen.write(`${text}\n`);
    },
    err: (text) => void complaints.push(text),
    size: screen.size,
    onResize: (listener) => {
      listeners.add(listener);
      return { remove: () => void listeners.delete(listener) };
    },
    resize: (columns) => {
      screen.resize(columns);
      for (const listener of listeners) listener();
    },
  };
}

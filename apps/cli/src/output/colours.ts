import { styleText } from 'node:util';

const names = ['bold', 'dim', 'red', 'green', 'yellow', 'blue', 'cyan'] as const;

/** Functions that add a colour to a text. If colours are off, they return it unchanged. */
export type Colours = Record<(typeof names)[number], (text: string) => string>;

export function colours(on: boolean): Colours {
  // styleText doesn't check the stream, since `wantsColours` has already checked the stream and the environment.
  const paint = (name: (typeof names)[number]) => (text: string) =>
    on && text !== '' ? styleText(name, text, { validateStream: false }) : text;
  return Object.fromEntries(names.map((name) => [name, paint(name)])) as Colours;
}

/** True for a terminal, unless NO_COLOR is set and not empty (https://no-color.org) or the terminal is dumb. */
export function wantsColours(stream: { isTTY?: boolean }, environment: NodeJS.ProcessEnv): boolean {
  return stream.isTTY === true && (environment['NO_COLOR'] ?? '') === '' && environment['TERM'] !== 'dumb';
}

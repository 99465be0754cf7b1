import { styleText } from 'node:util';

const names = ['bold', 'dim', 'red', 'green', 'yellow', 'blue', 'cyan'] as const;

/** Functions that colour a text. If colours are off, they return the text unchanged. */
export type Colours = Record<(typeof names)[number], (text: string) => string>;

export function colours(on: boolean): Colours {
  // `validateStream` is off, since `wantsColours` already checks the stream and the environment.
  const paint = (name: (typeof names)[number]) => (text: string) =>
    on && text !== '' ? styleText(name, text, { validateStream: false }) : text;
  return Object.fromEntries(names.map((name) => [name, paint(name)])) as Colours;
}

/** True for a terminal, except if NO_COLOR is set (https://no-color.org) or TERM is `dumb`. */
export function wantsColours(stream: { isTTY?: boolean }, environment: NodeJS.ProcessEnv): boolean {
  return stream.isTTY === true && (environment['NO_COLOR'] ?? '') === '' && environment['TERM'] !== 'dumb';
}

/** Functions that add a colour to a text. If colours are off, they return it unchanged. */
export type Colours = Record<'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'blue' | 'cyan', (text: string) => string>;

const codes = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, blue: 34, cyan: 36 } as const;

export function colours(on: boolean): Colours {
  const paint = (code: number) => (text: string) => (on && text !== '' ? `\u001B[${code}m${text}\u001B[0m` : text);
  return Object.fromEntries(Object.entries(codes).map(([name, code]) => [name, paint(code)])) as Colours;
}

/** False with a NO_COLOR that is not empty (https://no-color.org), and for a dumb terminal. */
export function wantsColours(stream: { isTTY?: boolean }, environment: NodeJS.ProcessEnv): boolean {
  return stream.isTTY === true && (environment['NO_COLOR'] ?? '') === '' && environment['TERM'] !== 'dumb';
}

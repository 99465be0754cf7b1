import { wordAfter } from './paths.ts';
import type { OptionKind, Program } from './program.ts';
import { programNamed } from './programs.ts';
import type { ShellWord } from './shell.ts';

/** Detects options that change the folder, such as `make -C app` and `npm --workspace app`. */
export const movesThere = ({ value }: ShellWord): boolean =>
  value !== null &&
  /^(-C.*|--(directory|chdir|prefix|cwd|dir|project-dir|working-directory|workspaces?|filter|recursive)(=.*)?)$/.test(
    value,
  );

/** Detects short options that change the folder of package managers. They have other meanings in other programs. */
export const movesPackages = (words: readonly ShellWord[]): boolean =>
  /^(npm|npx|pnpm|yarn|bun)$/.test(words[0]?.value ?? '') && words.some(({ value }) => /^-(w|r|F)/.test(value ?? ''));

type Option = { kind: OptionKind | null; value: ShellWord | null };

/** Returns the kind of the option in this word, and its value if the word contains it. Returns null for an operand. */
export function optionOf({ options = {} }: Program, word: ShellWord): Option | null {
  const text = word.value ?? word.text.replace(/^["']/, '');
  if (!/^[-+]./.test(text)) return null;
  const kindOf = (name: string): OptionKind | null => {
    for (const [kind, names] of Object.entries(options)) if (names.includes(name)) return kind as OptionKind;
    return null;
  };
  const whole = kindOf(text);
  if (whole !== null) return { kind: whole, value: null };
  const equals = text.indexOf('=');
  if (equals > 0) return { kind: kindOf(text.slice(0, equals)), value: wordAfter(word, equals + 1) };
  if (text.startsWith('--') || text.length === 2) return { kind: null, value: null };
  // `-Ilib` contains its value. The last letter of `-ne` takes the next word.
  const first = kindOf(text.slice(0, 2));
  if (first !== null) return { kind: first, value: wordAfter(word, 2) };
  return { kind: kindOf(`-${text.at(-1)}`), value: null };
}

/** Returns true if the word after this unknown option may be the option's value. */
export const mayHaveValue = ({ value }: ShellWord): boolean => value === null || /^--(?!no-)[^=]+$/.test(value);

/**
 * Returns true if the operand after an unknown option may be the option's value. The program or script is then in
 * `rest`. Examples of operands that aren't the option's value are `npm` in `nyc --unknown npm test` and `check.ts` in
 * `tsx --unknown check.ts test/a.ts`.
 */
export function mayBeValue({ runs }: Program, operand: ShellWord, rest: readonly ShellWord[]): boolean {
  const next = rest.find(({ value }) => value === null || !/^[-+]./.test(value));
  if (next === undefined || runs === 'shell') return false;
  if (runs === 'script') return !/\.\w+$/.test(operand.value ?? '');
  return operand.value?.includes('/') === true || !startsKnown(operand) || startsKnown(next);
}

function startsKnown({ value }: ShellWord): boolean {
  const program = programNamed(value?.split('/').at(-1) ?? '');
  return program !== undefined && program.runs !== 'nothing';
}

/** Joins the operands before `--`. */
export function operandsOf(args: readonly ShellWord[]): string {
  const end = args.findIndex(({ text }) => text === '--');
  const values = (end < 0 ? args : args.slice(0, end)).map(({ value, text }) => value ?? text);
  return values.filter((value) => !/^[-+]./.test(value)).join(' ');
}

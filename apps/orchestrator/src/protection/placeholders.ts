import { wordAfter } from './paths.ts';
import type { ShellWord } from './shell.ts';

/**
 * Variable that replaces a placeholder in a text to be parsed. Like the input, the variable's value is only known when
 * the command runs.
 */
const input = '$input';
const ofParallel = /'?\{[^{}\s]*\}'?/g;

/** Replaces the placeholders in the words of `find -exec` or `xargs` with a variable. */
export function insertsInput(words: readonly ShellWord[], placeholder: string | null): ShellWord[] {
  const names = ['{}', ...(placeholder === null || placeholder === '' ? [] : [placeholder])];
  return words.map((word) => {
    if (!names.some((name) => word.value?.includes(name) === true)) return word;
    const template = names.reduce(
      (text, name) => text.replaceAll(`'${name}'`, input).replaceAll(name, input),
      word.value ?? '',
    );
    return { text: word.text, value: null, glob: null, template };
  });
}

/**
 * Yields the shell texts that GNU parallel makes from its command and the words after `:::`. All texts together may
 * take megabytes, so they are yielded one by one.
 */
export function* commandsOfParallel(words: readonly ShellWord[]): Generator<string> {
  const end = words.findIndex(({ value }) => value?.startsWith(':::') === true);
  const command = (end < 0 ? words : words.slice(0, end)).map(({ value, text }) => value ?? text).join(' ');
  const rest = end < 0 ? [] : words.slice(end + 1);
  const simple = words[end]?.value === ':::' && rest.every(({ value }) => value !== null && !value.startsWith(':::'));
  const inputs = simple ? rest.map((word) => (command === '' ? wordAfter(word, 0).text : word.text)) : [input];
  const inserts = command.search(ofParallel) >= 0;
  for (const each of inputs)
    if (command === '') yield each;
    else yield inserts ? command.replaceAll(ofParallel, () => each) : `${command} ${each}`;
}

/**
 * Finds filters of git that run a file of the user's checkout. Git runs filters on this host while it updates the
 * checkout, and tasks can change the checkout's files.
 */
import { existsSync } from 'node:fs';
import { isAbsolute, relative, resolve } from 'node:path';
import { nulSeparated, type Git, type GitOptions } from '../git/git.ts';

const interpreter = /^(ba|z|k|da)?sh$|^(node|deno|bun|python|ruby|perl|php)[\d.]*$/;

/** Finds a filter whose command seems to run a file of the checkout. Returns null if there is none. */
export async function filterInCheckout(
  git: Git,
  path: string,
  options: GitOptions,
): Promise<{ name: string; command: string } | null> {
  const list = ['config', '--null', '--get-regexp', String.raw`^filter\..*\.(smudge|process|clean)$`];
  const { stdout } = await git.run(list, { ...options, answers: [1] });
  for (const entry of nulSeparated(stdout)) {
    const [key = '', ...lines] = Buffer.from(entry, 'latin1').toString('utf8').split('\n');
    const command = lines.join('\n');
    if (runsFileOf(path, command)) return { name: key.split('.').slice(1, -1).join('.'), command };
  }
  return null;
}

/**
 * Reports whether a command seems to run a file of the checkout. True if the command contains a substitution, since its
 * text doesn't show what it runs.
 */
export function runsFileOf(checkout: string, command: string): boolean {
  if (/[$`]/.test(command)) return true;
  const words = command.split(/[\s'"|;&<>()]+/).filter((word) => word !== '');
  let isOperandOfInterpreter = false;
  for (const word of words) {
    // Any other word without a slash is the name of a program in PATH, or an argument.
    const mayBeFile = isOperandOfInterpreter || word.includes('/');
    if (mayBeFile && isIn(checkout, resolve(checkout, word)) && existsSync(resolve(checkout, word))) return true;
    isOperandOfInterpreter ||= interpreter.test(word.split('/').at(-1) ?? '');
  }
  return false;
}

function isIn(folder: string, path: string): boolean {
  const from = relative(folder, path);
  return from !== '' && from.split('/')[0] !== '..' && !isAbsolute(from);
}

/** Texts that say why a part of a command isn't protected, and what the user can do. */
import type { ShellWord } from './shell.ts';
import { shortened } from './unprotected.ts';

const remedy = 'name them under protect';
const wordCharactersMax = 40;
const short = ({ text }: Pick<ShellWord, 'text'>): string => shortened(text, wordCharactersMax);

export const programUnknown = `which files define the program that it runs is not known: ${remedy}`;
export const tooMuch = 'it is too large to analyze: name the files that it runs under protect';
export const tooDeep = 'its shells are nested too deeply to analyze: name the files that they run under protect';
export const inlineCode = `files that its inline code loads are not known: ${remedy}`;
export const noCommand = `which program it starts is not known: ${remedy}`;
export const runsFolder = `which files of the folder it runs is not known: ${remedy}`;
export const filesFromInput = `which files it runs is known only when the command runs: ${remedy}`;
export const readsPipe = 'it runs what it reads from a pipe: name the files that this comes from under protect';

export const notUnderstood = (error: string): string =>
  `it is not understood as a shell command (${error}): name the files that define it under protect`;
export const unknownNamed = (program: ShellWord): string =>
  `which files define what ${short(program)} does is not known: ${remedy}`;
export const built = (program: ShellWord): string =>
  `which sources ${short(program)} is built from is not known: ${remedy}`;
export const replacesModules = (folder: ShellWord): string =>
  `a file in ${short(folder)} can take the place of a module that it loads: ${remedy}`;
export const replacesModulesOf = (variable: string): string =>
  `a file in a folder of ${variable} can take the place of a module that it loads: ${remedy}`;
export const dynamic = (what: string, word: ShellWord): string =>
  `the ${what} ${short(word)} is known only when the command runs: ${remedy}`;
/** @param script a protected file */
export const notFollowed = (script: string): string =>
  `changes to files that ${short({ text: script })} starts or loads land without approval: ${remedy}`;

import path from 'node:path';
import { globOfText } from './shell.ts';
import type { ShellWord } from './shell.ts';

/** Path of the work tree in every sandbox. */
const workTree = '/workspace/';

/**
 * Returns the glob that protects a file named in a command, or null if the file is outside the work tree. A glob
 * without a slash matches that name in every folder.
 * @param moved true if the command may run in a folder other than the root, so that the file is protected in every
 * folder
 */
export function globOfFile(glob: string, moved: boolean): string | null {
  const inTree = glob.startsWith(workTree) ? glob.slice(workTree.length) : glob;
  if (inTree === '' || /^[/~]/.test(inTree)) return null;
  let normal = path.posix.normalize(inTree).replace(/\/+$/, '');
  if (normal === '.' || (normal.startsWith('..') && !moved)) return null;
  normal = normal.replace(/^(\.\.(\/|$))+/, '');
  if (normal === '') return null;
  // A glob that is only a name without a dot would also match everything in a folder of that name.
  if (!normal.includes('/')) return normal.includes('.') ? normal : `**/${normal}`;
  return moved && !normal.startsWith('**/') ? `**/${normal}` : normal;
}

/** Detects a test's source file, which tasks are meant to change. */
export const isTestSource = (file: string): boolean => /(^|[/._-])(tests?|specs?|__tests__)([/._-]|$)/i.test(file);

const buildFolder =
  /(^|\/)(build|dist|out|target|obj|_build|\.build|zig-out|dist-newstyle|cmake-build-[\w-]+|bin\/(Debug|Release))\//;
/** Detects a file that is built from sources, so that the sources decide what it does. */
export const isBuilt = (file: string): boolean =>
  (buildFolder.test(file) && /(^|\/)[^/.]+$|\.[cm]?js$/.test(file)) || /\.(jar|war|dll|exe|class|so|wasm)$/.test(file);

/** Detects a script, or an archive that may contain scripts. */
export const isScriptOrArchive = (file: string): boolean =>
  /\.((ba|z|k|da)?sh|[cm]?[jt]sx?|py|rb|pl|php|lua|mk|zip|jar|tgz|tar(\.\w+)?)$/.test(file);

/** Returns globs of the files that may contain the Python module. */
export function modulesNamed(name: string): string[] {
  const folder = name.replaceAll('.', '/');
  const [first = ''] = folder.split('/');
  const files = [
    `${folder}.py`,
    `${folder}/__main__.py`,
    `${folder}/__init__.py`,
    `${first}.py`,
    `${first}/__init__.py`,
  ];
  return files.map((file) => (file.includes('/') ? `**/${file}` : file));
}

/**
 * Returns true if an argument looks like a file. A file has a folder or an extension, and is neither a number nor a
 * URL.
 */
export function looksLikeFile({ value }: ShellWord): boolean {
  if (value === null || value.endsWith('/') || value.includes('...') || /^[\d.,:%]+$/.test(value)) return false;
  if (/:\/\/|[\s=<>$;]/.test(value) || /^[-@!~^%]/.test(value)) return false;
  return value.includes('/') || /[^.]\.[A-Za-z]\w*$/.test(value);
}

/** Removes the first `characters` characters of a word. */
export function wordAfter(word: ShellWord, characters: number): ShellWord {
  if (word.value === null) return { ...word, text: word.text.slice(characters), glob: null };
  const value = word.value.slice(characters);
  return { text: value, value, glob: globOfText(value) };
}

/**
 * Rules for paths that may be committed. A colleague may check out the commit on Windows or macOS, where some other
 * names mean `.git`.
 */

/** Code points that HFS+ ignores in names. */
const ignoredByHfs = /[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]/gu;
/** Files that git reads from a tree. They must not be symbolic links. */
const readByGit = /^\.(?:gitmodules|gitattributes|gitignore|mailmap)$/;
const symlinkBytesMax = 1_024;

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Decodes a byte string; undefined if it isn't UTF-8. */
export function textOf(bytes: string): string | undefined {
  try {
    return decoder.decode(Buffer.from(bytes, 'latin1'));
  } catch {
    return undefined;
  }
}

/** Formats a byte string as one printable line, for messages. */
export const printable = (bytes: string): string => {
  const text = textOf(bytes) ?? bytes;
  // oxlint-disable-next-line no-control-regex
  return /[\0-\x1f\x7f-\x9f"\\\u2028\u2029]/.test(text) || textOf(bytes) === undefined ? JSON.stringify(text) : text;
};

const shownCharacters = 300;

/** Like `printable`, but limits the length. */
export const shortened = (bytes: string): string => {
  const text = printable(bytes);
  return text.length > shownCharacters ? `${text.slice(0, shownCharacters)}…` : text;
};

/** Normalizes a name like the most lenient file systems: HFS+ and NTFS. */
function plainest(name: string): string {
  const stream = name.indexOf(':');
  const main = stream >= 0 ? name.slice(0, stream) : name;
  return main
    .replace(ignoredByHfs, '')
    .replace(/[ .]+$/, '')
    .toLowerCase();
}

/** Reports whether git treats this name as `.git` on some file system. */
export function isGitName(name: string): boolean {
  return name.split('\\').some((part) => {
    const plain = plainest(part);
    return plain === '.git' || /^git~[0-9]+$/.test(plain);
  });
}

/** Returns the reason why a name (a byte string) can't be imported; undefined if it can. */
export function nameProblem(bytes: string): string | undefined {
  const name = textOf(bytes);
  if (name === undefined) return 'its name is not UTF-8';
  // oxlint-disable-next-line no-control-regex
  if (/[\0-\x1f\x7f]/.test(name)) return 'its name holds a control character';
  if (isGitName(name))
    return "its name stands for .git, or does on another file system: a nested repository can't be imported";
  return namesSubmodules(bytes) ? submodulesProblem : undefined;
}

export const submodulesProblem = "submodules can't be changed";

/** Reports whether some file system treats this name as `.gitmodules`, for example as its short name on NTFS. */
export function namesSubmodules(bytes: string): boolean {
  const plain = plainest(textOf(bytes) ?? bytes);
  return plain === '.gitmodules' || /^gi7eba~[0-9]+$/.test(plain) || /^gitmod~[0-9]+$/.test(plain);
}

/**
 * Returns the reason why a symbolic link can't be imported; undefined if it can. The link must stay inside the tree,
 * even if other links are parts of its target.
 */
export function symlinkProblem(path: string, target: string): string | undefined {
  const name = path.slice(path.lastIndexOf('/') + 1);
  if (readByGit.test(plainest(textOf(name) ?? name)))
    return 'git reads a file of this name, so it may not be a symbolic link';
  const text = textOf(target);
  if (text === undefined || text === '' || target.length > symlinkBytesMax) return 'its target is not a usable path';
  // oxlint-disable-next-line no-control-regex
  if (/[\0-\x1f\x7f]/.test(text)) return 'its target holds a control character';
  if (/^[/\\]|^[a-zA-Z]:/.test(text)) return `it points outside the repository (${printable(target)})`;
  let depth = path.split('/').length - 1;
  let descended = false;
  for (const part of text.split(/[/\\]/)) {
    if (part === '' || part === '.') continue;
    if (part === '..') {
      // If the name before `..` is a link, `..` can lead outside the tree.
      if (descended || --depth < 0) return `it points outside the repository (${printable(target)})`;
      continue;
    }
    descended = true;
    if (isGitName(part)) return `it points into a git directory (${printable(target)})`;
  }
  return undefined;
}

/**
 * Globs of protected files. Tenants write the globs and agents the paths, so matching must not take exponential time.
 * Braces and groups are expanded first, and `matchGlob` matches the results. A glob that can't be parsed or expands to
 * too many globs protects more files than it should, never fewer.
 */
import type { StepBudget } from '@coppice/service';
import { matchGlob } from './ignore-rules.ts';

/** Maximum number of globs that one pattern expands to. Further alternatives are replaced by `*`. */
const alternativesMax = 64;
const nestingMax = 16;
const rememberedNamesMax = 100_000;

/** Part of a path: `**`, or a lower-case glob for one name. A glob without wildcards is plain. */
type Part = 'any' | { glob: string; isPlain: boolean };

export class ProtectPatterns {
  /** For each glob with a slash, its parts before the first wildcard, in the original case. */
  readonly starts: string[] = [];
  readonly #plainNames = new Set<string>();
  readonly #nameGlobs: string[] = [];
  readonly #paths: Part[][] = [];
  readonly #remembered = new Map<string, boolean>();
  readonly #budget: StepBudget;

  constructor(patterns: readonly string[], budget: StepBudget) {
    this.#budget = budget;
    for (const pattern of new Set(patterns)) {
      const isPath = pattern.includes('/');
      for (const glob of new Set(expanded(pattern))) {
        if (isPath || glob === '**') this.#addPath(glob);
        else if (isPlain(glob)) this.#plainNames.add(unescaped(glob).toLowerCase());
        else this.#nameGlobs.push(glob.toLowerCase());
      }
    }
  }

  #addPath(glob: string): void {
    const parts = glob.split('/').filter((part) => part !== '.');
    while (parts.length > 1 && parts[0] === '') parts.shift();
    // As in .gitignore, a pattern that ends with a slash matches everything in the folder.
    if (parts.at(-1) === '') parts.splice(-1, 1, '**');
    const wild = parts.findIndex((part) => !isPlain(part));
    this.starts.push((wild === -1 ? parts : parts.slice(0, wild)).map(unescaped).join('/'));
    this.#paths.push(
      parts.map((part): Part => {
        if (/^\*{2,}$/.test(part)) return 'any';
        const plain = isPlain(part);
        return { glob: (plain ? unescaped(part) : part).toLowerCase(), isPlain: plain };
      }),
    );
  }

  /** Reports whether a pattern matches a path. `names` are the path's parts in lower case. */
  async matches(names: readonly string[]): Promise<boolean> {
    for (const name of names) if (await this.matchesName(name)) return true;
    for (const parts of this.#paths) {
      if (this.#budget.due) await this.#budget.yield();
      if (this.#matchesParts(parts, names)) return true;
    }
    return false;
  }

  /** Reports whether a pattern without a slash matches a name in lower case. */
  async matchesName(name: string): Promise<boolean> {
    const remembered = this.#remembered.get(name);
    if (remembered !== undefined) return remembered;
    let found = this.#plainNames.has(name);
    for (const glob of this.#nameGlobs) {
      if (found) break;
      if (this.#budget.due) await this.#budget.yield();
      found = matchGlob(glob, name, this.#budget);
    }
    if (this.#remembered.size >= rememberedNamesMax) this.#remembered.clear();
    this.#remembered.set(name, found);
    return found;
  }

  /** Matches the parts of a path. As in matchGlob, only the last `**` is retried. */
  #matchesParts(parts: readonly Part[], names: readonly string[]): boolean {
    let [part, name, retryPart, retryName] = [0, 0, -1, 0];
    while (name < names.length) {
      this.#budget.spend(1);
      const current = parts[part];
      if (current === 'any') {
        retryPart = ++part;
        retryName = name;
        if (part === parts.length) return true;
      } else if (current !== undefined && this.#matchesPart(current, names[name] ?? '')) {
        part++;
        name++;
      } else if (retryPart >= 0) {
        part = retryPart;
        name = ++retryName;
      } else return false;
    }
    while (parts[part] === 'any') part++;
    return part === parts.length;
  }

  #matchesPart(part: Exclude<Part, 'any'>, name: string): boolean {
    return part.isPlain ? part.glob === name : matchGlob(part.glob, name, this.#budget);
  }
}

/**
 * Reports whether an expanded glob has no wildcard. Its only wildcards can be `*` and `?`, and a backslash escapes a
 * character.
 */
const isPlain = (glob: string): boolean => !/[*?]/.test(glob.replaceAll(/\\./gs, ''));
const unescaped = (glob: string): string => glob.replaceAll(/\\(.)/gs, '$1');
const escaped = (text: string): string => text.replaceAll(/[*?[\\]/g, '\\$&');

const characterClass = /\[[!^]?\]?(?:\[:\w+:\]|\\.|[^\]\\])*\]/sy;

/** Thrown if a pattern may match any path. */
class StandsForAll extends Error {}

/**
 * Expands a pattern to globs without braces, groups and classes. Together, the globs match at least what the pattern
 * matches.
 */
export function expanded(pattern: string): string[] {
  try {
    if (pattern.startsWith('!') && pattern[1] !== '(') throw new StandsForAll();
    // The pattern may also be the literal name of a file.
    const own = /[|(){}[\\"]/.test(pattern) ? [escaped(pattern)] : [];
    return [...own, ...new Reader(pattern).alternatives('', 0).globs];
  } catch (error) {
    if (error instanceof StandsForAll) return ['**'];
    throw error;
  }
}

class Reader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  /** Reads alternatives up to and including the closing character. */
  alternatives(closing: '' | ')' | '}', depth: number): { globs: string[]; separators: number } {
    if (depth > nestingMax) throw new StandsForAll();
    const done: string[] = [];
    let current = [''];
    let separators = 0;
    while (this.#at < this.#text.length) {
      const character = this.#text[this.#at] ?? '';
      if (character === closing) {
        this.#at++;
        return { globs: few([...done, ...current]), separators };
      }
      if (character === '|' || (character === ',' && closing === '}')) {
        this.#at++;
        separators++;
        done.splice(0, done.length, ...few([...done, ...current]));
        current = [''];
        continue;
      }
      const read = this.#next(character, depth);
      const isOptional = /^[)\]}]\?(?!\()/.test(this.#text.slice(this.#at - 1, this.#at + 2));
      const next = isOptional ? ['', ...read] : read;
      const ends = current.length * next.length > alternativesMax ? withinName(next) : next;
      current = current.flatMap((start) => ends.map((end) => start + end));
    }
    if (closing !== '') throw new StandsForAll();
    return { globs: few([...done, ...current]), separators };
  }

  #passed(characters: number, globs: string[]): string[] {
    this.#at += characters;
    return globs;
  }

  #next(character: string, depth: number): string[] {
    const following = this.#text[this.#at + 1];
    // In a regular expression, this character quantifies the preceding group or class.
    if (following !== '(' && /[)\]}[+][+?*]/.test(this.#text.slice(this.#at - 1, this.#at + 1)))
      return this.#passed(1, ['*']);
    if (character === '(') return this.#group('@', 1, depth);
    if (following === '(' && /[@?*+!]/.test(character)) return this.#group(character, 2, depth);
    if (character === '{') return this.#brace(depth);
    if (character === '[') return this.#class();
    if (this.#text.startsWith('**{', this.#at)) return this.#passed(2, ['**', '**/*']);
    if (character === '*' || character === '?' || character === '/') return this.#passed(1, [character]);
    // Tools interpret quotes differently. If quotes could hide special characters, the pattern matches everything.
    if (character === '"' && /[|(){}[]/.test(this.#text.replaceAll(/\\./gs, ''))) throw new StandsForAll();
    if (character === '"') return this.#passed(1, ['*']);
    if (character !== '\\') return this.#passed(1, [escaped(character)]);
    // In a regular expression, a backslash with a word character is a class or a back-reference.
    if (/\w/.test(following ?? '')) return this.#passed(2, ['*']);
    return this.#passed(2, [following === '/' ? '/' : escaped(following ?? '\\')]);
  }

  #group(kind: string, opening: number, depth: number): string[] {
    this.#at += opening;
    const isLookaround = this.#text[this.#at] === '?';
    const { globs } = this.alternatives(')', depth + 1);
    if (kind === '@' && !isLookaround) return globs;
    if (kind === '?' && !isLookaround) return ['', ...globs];
    return withinName(globs);
  }

  #brace(depth: number): string[] {
    const start = this.#at++;
    const { globs, separators } = this.alternatives('}', depth + 1);
    if (separators > 0) return globs;
    // A range such as `{1..3}`.
    if (this.#text.slice(start, this.#at).includes('..')) return withinName(globs);
    return globs.map((glob) => `{${glob}}`);
  }

  /** Reads a class. A text such as `[1]` may also be a literal part of a file name. */
  #class(): string[] {
    characterClass.lastIndex = this.#at;
    const found = characterClass.exec(this.#text)?.[0];
    if (found === undefined) return this.#passed(1, [escaped('[')]);
    if (found.includes('/')) throw new StandsForAll();
    return this.#passed(found.length, ['?', escaped(found)]);
  }
}

function withinName(globs: readonly string[]): string[] {
  if (globs.some((glob) => glob.includes('/'))) throw new StandsForAll();
  return ['*'];
}

const few = (globs: string[]): string[] => (globs.length > alternativesMax ? withinName(globs) : globs);

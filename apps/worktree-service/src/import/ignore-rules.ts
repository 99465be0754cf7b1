/**
 * Rules of .gitignore files as git interprets them (gitignore(5)). Patterns and names are byte strings.
 *
 * No library is used. Libraries turn patterns into regular expressions, and an agent's line such as `*a*a*a*a*a*a*a*b`
 * would make backtracking arbitrarily slow. Here, matching a rule with a name takes at most as many steps as the
 * product of their lengths. All steps are counted, and the event loop can run between two rules.
 */
import type { StepBudget } from '@coppice/service';

type Rule = { bytes: number; negated: boolean; directoryOnly: boolean; anchored: boolean; segments: Segment[] };
/** Part of a pattern between slashes. If `any` is true, the part is `**`. */
type Segment = { any: true } | { any: false; glob: string };

export type IgnoreRules = {
  /** Folder of the .gitignore file; '' for the root. */
  folder: string;
  rules: Rule[];
};

export function parseIgnoreFile(folder: string, content: string): IgnoreRules {
  const text = content.startsWith('\xef\xbb\xbf') ? content.slice(3) : content;
  const rules: Rule[] = [];
  for (const line of text.split('\n')) {
    const rule = parseLine(line);
    if (rule !== undefined) rules.push(rule);
  }
  return { folder, rules };
}

function parseLine(line: string): Rule | undefined {
  let pattern = trimTrailingSpaces(line.endsWith('\r') ? line.slice(0, -1) : line);
  if (pattern === '' || pattern.startsWith('#')) return undefined;
  const negated = pattern.startsWith('!');
  if (negated) pattern = pattern.slice(1);
  const directoryOnly = pattern.endsWith('/');
  if (directoryOnly) pattern = pattern.slice(0, -1);
  const anchored = pattern.includes('/');
  if (pattern.startsWith('/')) pattern = pattern.slice(1);
  if (pattern === '') return undefined;
  const segments = pattern
    .split('/')
    .map((part): Segment => (part === '**' ? { any: true } : { any: false, glob: part }));
  return { bytes: line.length, negated, directoryOnly, anchored, segments };
}

/** Removes trailing spaces, except spaces that a backslash escapes. */
function trimTrailingSpaces(line: string): string {
  let end = line.length;
  while (end > 0 && line[end - 1] === ' ') {
    let backslashes = 0;
    while (line[end - 2 - backslashes] === '\\') backslashes++;
    if (backslashes % 2 === 1) break;
    end--;
  }
  return line.slice(0, end);
}

/**
 * Reports whether a path is ignored. `files` are the ignore files that apply to the path, from the root inwards. The
 * path's folder must not be ignored, since no rule can re-include a path in an ignored folder. Throws the errors of
 * `budget`.
 */
export async function isIgnored(
  files: readonly IgnoreRules[],
  path: string,
  isDirectory: boolean,
  budget: StepBudget,
): Promise<boolean> {
  for (let index = files.length - 1; index >= 0; index--) {
    const file = files[index];
    if (file === undefined) continue;
    const relative = file.folder === '' ? path : path.slice(file.folder.length + 1);
    const names = relative.split('/');
    budget.spend(names.length);
    for (let at = file.rules.length - 1; at >= 0; at--) {
      const rule = file.rules[at];
      budget.spend(1);
      if (budget.due) await budget.yield();
      if (rule !== undefined && matches(rule, names, isDirectory, budget)) return !rule.negated;
    }
  }
  return false;
}

function matches(rule: Rule, names: string[], isDirectory: boolean, budget: StepBudget): boolean {
  if (rule.directoryOnly && !isDirectory) return false;
  if (rule.anchored) return matchSegments(rule.segments, names, budget);
  const [only] = rule.segments;
  const name = names.at(-1) ?? '';
  return only !== undefined && (only.any || matchGlob(only.glob, name, budget));
}

/**
 * Matches the segments of a path. `**` matches any number of names. At the end of a pattern, it matches at least one.
 */
function matchSegments(segments: Segment[], names: string[], budget: StepBudget): boolean {
  let segment = 0;
  let name = 0;
  let retrySegment = -1;
  let retryName = 0;
  while (name < names.length) {
    const current = segments[segment];
    if (current?.any === true) {
      if (segment === segments.length - 1) return true;
      retrySegment = segment++;
      retryName = name;
    } else if (current !== undefined && matchGlob(current.glob, names[name] ?? '', budget)) {
      segment++;
      name++;
    } else if (retrySegment >= 0) {
      segment = retrySegment + 1;
      name = ++retryName;
    } else return false;
  }
  return segment === segments.length;
}

/**
 * Matches a shell glob (`*`, `?`, `[…]`, backslash) with one name. Only the last star is retried, which limits
 * backtracking.
 */
export function matchGlob(glob: string, name: string, budget: StepBudget): boolean {
  let steps = 1;
  let at = 0;
  let position = 0;
  let retryAt = -1;
  let retryPosition = 0;
  while (position < name.length) {
    steps++;
    const step = at < glob.length ? matchOne(glob, at, name[position] ?? '') : undefined;
    if (step === 'star') {
      retryAt = ++at;
      retryPosition = position;
    } else if (typeof step === 'number') {
      steps += step - at;
      at = step;
      position++;
    } else if (retryAt >= 0) {
      // matchOne may have read a class up to the end of the pattern.
      if (glob[at] === '[') steps += glob.length - at;
      at = retryAt;
      position = ++retryPosition;
    } else break;
  }
  budget.spend(steps);
  if (position < name.length) return false;
  while (glob[at] === '*') at++;
  return at === glob.length;
}

/** Returns the position after the token if the token at `at` matches the character. Otherwise returns undefined. */
function matchOne(glob: string, at: number, character: string): number | 'star' | undefined {
  const token = glob[at];
  if (token === '*') return 'star';
  if (token === '?') return at + 1;
  if (token === '[') return matchClass(glob, at, character);
  if (token === '\\') return glob[at + 1] === character ? at + 2 : undefined;
  return token === character ? at + 1 : undefined;
}

const namedClasses: Record<string, RegExp> = {
  alnum: /[0-9A-Za-z]/,
  alpha: /[A-Za-z]/,
  blank: /[ \t]/,
  // oxlint-disable-next-line no-control-regex
  cntrl: /[\0-\x1f\x7f]/,
  digit: /[0-9]/,
  graph: /[\x21-\x7e]/,
  lower: /[a-z]/,
  print: /[\x20-\x7e]/,
  punct: /[!-/:-@[-`{-~]/,
  space: /[ \t\n\v\f\r]/,
  upper: /[A-Z]/,
  xdigit: /[0-9A-Fa-f]/,
};

/** Longer than any class name. */
const classNameBytesMax = 10;

/**
 * Returns the position of the `:]` that ends a class name. Searches only a few bytes, since an agent's pattern could
 * cause many long searches.
 */
function endOfClassName(glob: string, start: number): number | undefined {
  for (let end = start; end < start + classNameBytesMax; end++)
    if (glob[end] === ':' && glob[end + 1] === ']') return end;
  return undefined;
}

/** Matches a character class. As in git, an unclosed class matches nothing. */
function matchClass(glob: string, start: number, character: string): number | undefined {
  let at = start + 1;
  const negated = glob[at] === '!' || glob[at] === '^';
  if (negated) at++;
  let found = false;
  let previous = '';
  for (let first = true; first || glob[at] !== ']'; first = false) {
    let token = glob[at];
    if (token === undefined) return undefined;
    if (token === '[' && glob[at + 1] === ':') {
      const end = endOfClassName(glob, at + 2);
      if (end !== undefined) {
        const named = namedClasses[glob.slice(at + 2, end)];
        if (named === undefined) return undefined;
        found ||= named.test(character);
        at = end + 2;
        previous = '';
        continue;
      }
    }
    if (token === '-' && previous !== '' && glob[at + 1] !== undefined && glob[at + 1] !== ']') {
      at++;
      token = glob[at];
      if (token === '\\') token = glob[++at];
      if (token === undefined) return undefined;
      found ||= character >= previous && character <= token;
      previous = '';
    } else {
      if (token === '\\') token = glob[++at];
      if (token === undefined) return undefined;
      found ||= token === character;
      previous = token;
    }
    at++;
  }
  return found !== negated ? at + 1 : undefined;
}

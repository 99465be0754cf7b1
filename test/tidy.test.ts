import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { projectFolder } from './architecture/sources.ts';

const linesMax = 400;
const codeFile = /\.[cm]?[jt]s$/;
const textFile = /\.([cm]?[jt]s|json|ya?ml|md|sh|conf|toml)$|(^|\/)(Dockerfile|coppice|run|\.gitignore)$/;

type Finding = { what: string; pattern: RegExp; files: RegExp };

// Single letters are in brackets, so that this file doesn't match its own patterns.
const findings: readonly Finding[] = [
  { what: 'exports everything of a module', pattern: /^export \* /m, files: codeFile },
  { what: 'leaves work undone', pattern: /\b(?:TO[D]O|FIX[M]E|XX[X]|HA[C]K)\b/, files: textFile },
  {
    what: "names one machine's path",
    pattern: /\/(?:wor[k]\/|home\/(?!agent|node|coppice)[a-z]|User[s]\/|root\/\.)/,
    files: textFile,
  },
  {
    what: 'names a registry host',
    pattern: /(?:registry\.npm[j]s\.org|artifact-?registr[y]|pkg\.de[v])/i,
    files: textFile,
  },
  { what: 'runs one test only', pattern: /\b(?:test|it|describe)\.onl[y]\(/, files: codeFile },
  { what: 'silences the type checker', pattern: /@ts-(?:ignor[e]|nochec[k])/, files: codeFile },
  { what: 'holds unfilled template text', pattern: /lorem ipsu[m]|\[your .*her[e]\]/i, files: textFile },
];

/**
 * Words that the house style rules out in comments and documents, except in backticks, where they are names in the
 * code.
 */
const ruledOut =
  /\b(?:tol[d]|asks who[m]|makes d[o]|in vai[n]|doo[r]s?|prove[n]|let go o[f]|at han[d]|waited for b[y])\b|^\/\*\* (?:O[f]|Whethe[r]|For who[m]|Wh[o]) /i;
const commentLine = /^\s*(\/\/|\/\*\*?|\*) /;

function ruledOutWords(path: string, text: string): string[] {
  // The glossary isn't checked, since it lists the ruled-out words.
  const isDocument = path.endsWith('.md') && path !== 'docs/glossary.md';
  if (!codeFile.test(path) && !isDocument) return [];
  return text.split('\n').flatMap((line, index) => {
    const isProse = isDocument || commentLine.test(line);
    const word = isProse ? ruledOut.exec(line.trim().replaceAll(/`[^`]*`/g, ''))?.[0] : undefined;
    return word === undefined ? [] : [`${path}:${index + 1} has a word that the style rules out: ${word}`];
  });
}

/** Words that the house style rules out in code, also as a part of a name in camelCase, kebab-case or SNAKE_CASE. */
const ruledOutName = /(?<![A-Za-z])(?:tol[d]|aske[d]|TOL[D]|ASKE[D])(?![a-z])|(?:Tol[d]|Aske[d])(?![a-z])/;
/** Names in stored values, which can't be changed. */
const storedNames = /\brepetitionTol[d]\b/g;

function ruledOutNames(path: string, text: string): string[] {
  if (!codeFile.test(path)) return [];
  return text.split('\n').flatMap((line, index) => {
    const word = ruledOutName.exec(line.replaceAll(storedNames, ''))?.[0];
    return word === undefined ? [] : [`${path}:${index + 1} has a name that the style rules out: ${word}`];
  });
}

/** @returns one sentence per fault */
function faultsOf(path: string, text: string): string[] {
  const faults = findings
    .filter(({ files, pattern }) => files.test(path) && pattern.test(text))
    .map(({ what }) => `${path} ${what}`);
  faults.push(...ruledOutWords(path, text), ...ruledOutNames(path, text));
  const lines = text.split('\n').length - 1;
  if (codeFile.test(path) && lines > linesMax) faults.push(`${path} has ${lines} lines, allowed: ${linesMax}`);
  return faults;
}

function trackedFiles(): string[] {
  const listed = spawnSync(
    'git',
    ['-c', 'safe.directory=*', 'ls-files', '-z', '--cached', '--others', '--exclude-standard'],
    {
      cwd: projectFolder,
      encoding: 'utf8',
    },
  );
  return listed.stdout.split('\0').filter((path) => textFile.test(path) && path !== 'package-lock.json');
}

test('the repository is tidy', () => {
  const files = trackedFiles();
  expect(files).toContain('setup/setup.js');
  expect(files.flatMap((path) => faultsOf(path, readFileSync(join(projectFolder, path), 'utf8')))).toEqual([]);
});

test('an untidy file is found', () => {
  const unfinished = ['TO', 'DO'].join('');
  const untidy = ['export * from "./a.ts";', `// ${unfinished}: later`, ...Array.from({ length: linesMax }, () => '')];
  expect(faultsOf('libs/x/src/index.ts', untidy.join('\n'))).toEqual([
    'libs/x/src/index.ts exports everything of a module',
    'libs/x/src/index.ts leaves work undone',
    'libs/x/src/index.ts has 401 lines, allowed: 400',
  ]);
  expect(faultsOf('README.md', ['see /wor', 'k/here'].join(''))).toEqual(["README.md names one machine's path"]);
  expect(faultsOf('README.md', 'see `coppice run`')).toEqual([]);
  const word = ['tol', 'd'].join('');
  expect(faultsOf('docs/x.md', `The sender is ${word}.`)).toEqual([
    `docs/x.md:1 has a word that the style rules out: ${word}`,
  ]);
  expect(faultsOf('libs/x.py', `# The sender is ${word}.`)).toEqual([]);
  expect(faultsOf('libs/x.ts', `// The sender is ${word}.`)).toContain(
    `libs/x.ts:1 has a word that the style rules out: ${word}`,
  );
});

test.each([
  ['const tol', 'd = 1;'],
  ['let isTol', 'd = false;'],
  ['const aske', 'dAtMs = 1;'],
  ["reach('failure-tol", "d');"],
  ["test('waits until aske", "d', () => {});"],
  ['const ASKE', 'D_MAX = 1;'],
])('a ruled-out word in code is found: %s…', (...parts) => {
  expect(faultsOf('libs/x.js', parts.join(''))).toEqual([
    expect.stringContaining('libs/x.js:1 has a name that the style rules out: '),
  ]);
});

test.each(['const isMasked = masked;', 'this.#forgetOld();', `state.repetitionTold = true;`])(
  'a name that only contains the letters, or is in stored values, is no fault: %s',
  (line) => expect(faultsOf('libs/x.ts', line)).toEqual([]),
);

/**
 * Twenty changes to this repository's own code, each with its own check. They change only modules that import nothing
 * but Node's modules, so that the checks run without installed packages.
 */
export type Change = {
  name: string;
  file: string;
  /** Text to replace. It occurs exactly once in the file. */
  oldText: string;
  newText: string;
  /** A mistake that the check finds. The agent first writes `wrong` instead of `right`, a part of `newText`. */
  slip?: { wrong: string; right: string };
  /** Exports of `file` that the check imports. */
  uses: string;
  assertion: string;
};

type Added = Pick<Change, 'name' | 'file' | 'uses' | 'assertion' | 'slip'> & { before: string; code: string };

const added = ({ before, code, ...rest }: Added): Change => ({
  ...rest,
  oldText: before,
  newText: `${code}\n\n${before}`,
});

/** Changes of files that no other change modifies. */
const apart: Change[] = [
  added({
    name: 'bytes-text',
    file: 'apps/cli/src/output/text.ts',
    before: 'export function clockText(',
    code: [
      '/** `512 B`, `1.5 KiB`, `3.0 MiB`. */',
      'export function bytesText(bytes: number): string {',
      '  const power = Math.min(2, Math.floor(Math.log2(Math.max(1, bytes)) / 10));',
      '  if (power === 0) return `${bytes} B`;',
      "  return `${(bytes / 1024 ** power).toFixed(1)} ${power === 1 ? 'KiB' : 'MiB'}`;",
      '}',
    ].join('\n'),
    slip: { wrong: 'bytes / 1000 ** power', right: 'bytes / 1024 ** power' },
    uses: 'bytesText',
    assertion: "assert.deepEqual([5, 1536, 3 * 1024 ** 2].map(bytesText), ['5 B', '1.5 KiB', '3.0 MiB'])",
  }),
  added({
    name: 'is-text',
    file: 'libs/contracts/src/utf8.ts',
    before: 'export function invalidUtf8At(',
    code: '/** Reports whether the bytes are a text in UTF-8. */\nexport const isText = (data: Uint8Array): boolean => invalidUtf8At(data) === null;',
    uses: 'isText',
    assertion: 'assert.deepEqual([[65], [0xff]].map((bytes) => isText(Uint8Array.from(bytes))), [true, false])',
  }),
  added({
    name: 'whole-seconds',
    file: 'apps/llm-gateway/src/transport/json.ts',
    before: 'export function jsonOf(',
    code: '/** Converts milliseconds to seconds, rounded up. Null stays null. */\nexport const wholeSeconds = (ms: number | null): number | null => (ms === null ? null : Math.ceil(ms / 1_000));',
    slip: { wrong: 'Math.floor(ms / 1_000)', right: 'Math.ceil(ms / 1_000)' },
    uses: 'jsonOf, wholeSeconds',
    assertion: "assert.deepEqual([wholeSeconds(60_500), wholeSeconds(null), jsonOf('1')], [61, null, 1])",
  }),
  added({
    name: 'line-count',
    file: 'apps/container-service/src/tools/bound.ts',
    before: 'function wholeStart(',
    code: "/** Returns the number of lines. A last line without a line break counts. */\nexport const lineCount = (text: string): number => text.split('\\n').length - (text.endsWith('\\n') ? 1 : 0);",
    uses: 'lineCount',
    assertion: "assert.deepEqual(['a\\n', 'a\\nb'].map(lineCount), [1, 2])",
  }),
  added({
    name: 'hidden-name',
    file: 'apps/worktree-service/src/import/path-rules.ts',
    before: 'export function nameProblem(',
    code: "/** Reports whether a listing leaves this name out by default. */\nexport const isHiddenName = (name: string): boolean => name.startsWith('.') && !/^\\.{1,2}$/.test(name);",
    slip: { wrong: "name.startsWith('.');", right: "name.startsWith('.') && !/^\\.{1,2}$/.test(name);" },
    uses: 'isHiddenName',
    assertion: "assert.deepEqual(['.env', '..', 'a.b'].map(isHiddenName), [true, false, false])",
  }),
  added({
    name: 'mean',
    file: 'test/bench/report.ts',
    before: 'export function median(',
    code: 'export const mean = (values: number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;',
    uses: 'mean, median',
    assertion: 'assert.deepEqual([mean([1, 2, 9]), median([1, 2, 9])], [4, 2])',
  }),
  added({
    name: 'span-of-process',
    file: 'libs/telemetry/src/span-ids.ts',
    before: 'export function idGenerator(',
    code: '/** Reports whether the process with this prefix made a span id. */\nexport const isSpanOf = (spanId: string, prefix: string): boolean => spanId.startsWith(prefix);',
    uses: 'idGenerator, isSpanOf',
    assertion: "assert.ok(isSpanOf(idGenerator('abcdef').generateSpanId(), 'abcdef'))",
  }),
  added({
    name: 'path-below',
    file: 'apps/container-service/src/engine/docker-paths.ts',
    before: 'export function translationOf(',
    code: '/** Reports whether a path is the folder or is inside it. */\nexport const isBelow = (path: string, folder: string): boolean => path === folder || path.startsWith(`${folder}/`);',
    uses: 'isBelow',
    assertion: "assert.deepEqual([isBelow('/a/b', '/a'), isBelow('/ab', '/a')], [true, false])",
  }),
  added({
    name: 'failure-code',
    file: 'apps/cli/src/exit-codes.ts',
    before: 'export const exitCodesHelp = ',
    code: '/** Reports whether a script should stop at this exit code. */\nexport const isFailure = (code: number): boolean => code !== exitCodes.done && code !== exitCodes.detached;',
    uses: 'isFailure',
    assertion: 'assert.deepEqual([0, 1, 130].map(isFailure), [false, true, false])',
  }),
  {
    name: 'terminated-code',
    file: 'libs/service/src/exit-codes.ts',
    oldText: '  stopped: 0,\n',
    newText: '  stopped: 0,\n  /** Ended by SIGTERM before it could stop in order. */\n  terminated: 143,\n',
    slip: { wrong: 'terminated: 134', right: 'terminated: 143' },
    uses: 'exitCodes',
    assertion: 'assert.equal(exitCodes.terminated, 128 + 15)',
  },
  added({
    name: 'without-colours',
    file: 'apps/cli/src/output/colours.ts',
    before: 'export function wantsColours(',
    code: "/** Removes the colours that `colours` has added. */\nexport const withoutColours = (text: string): string => text.replaceAll(/\\u001B\\[\\d+m/g, '');",
    uses: 'colours, withoutColours',
    assertion: "assert.equal(withoutColours(colours(true).red('alarm')), 'alarm')",
  }),
  added({
    name: 'per-node',
    file: 'libs/contracts/src/services.ts',
    before: 'export const nodeServiceNames = ',
    code: '/** Reports whether each host runs its own. */\nexport const isPerNode = (name: ServiceName): boolean => services[name].perNode;',
    uses: 'isPerNode',
    assertion: "assert.deepEqual(['orchestrator', 'worktree-service'].map(isPerNode), [false, true])",
  }),
];

/** Pairs of changes at different places in the same file. */
const sideBySide: Change[] = [
  added({
    name: 'comment-line',
    file: 'apps/worktree-service/src/import/ignore-rules.ts',
    before: 'export function parseIgnoreFile(',
    code: "export const isCommentLine = (line: string): boolean => line.startsWith('#');",
    uses: 'isCommentLine',
    assertion: "assert.deepEqual(['# a', '\\\\# b'].map(isCommentLine), [true, false])",
  }),
  added({
    name: 'glob-character',
    file: 'apps/worktree-service/src/import/ignore-rules.ts',
    before: 'export function matchGlob(',
    code: '/** Reports whether a name, taken as a pattern, matches more than itself. */\nexport const isGlob = (name: string): boolean => /[*?[\\\\]/.test(name);',
    slip: { wrong: '/[*?]/.test', right: '/[*?[\\\\]/.test' },
    uses: 'isGlob',
    assertion: "assert.deepEqual(['a[b]', '*.ts', 'plain'].map(isGlob), [true, true, false])",
  }),
  added({
    name: 'refused-calls',
    file: 'apps/container-service/src/engine/seccomp.ts',
    before: 'export type SeccompArchitecture = ',
    code: 'export const isRefusedCall = (name: string): boolean => Object.hasOwn(refusedCalls, name);',
    uses: 'isRefusedCall',
    assertion: "assert.deepEqual(['mount', 'read'].map(isRefusedCall), [true, false])",
  }),
  added({
    name: 'filter-length',
    file: 'apps/container-service/src/engine/seccomp.ts',
    before: 'export function seccompFilter(',
    code: '/** Returns the number of instructions of a filter. */\nexport const filterLength = (filter: Buffer): number => filter.length / 8;',
    slip: { wrong: 'filter.length / 4', right: 'filter.length / 8' },
    uses: 'filterLength, seccompFilter',
    assertion: "assert.equal(filterLength(seccompFilter('x64')) * 8, seccompFilter('x64').length)",
  }),
  added({
    name: 'long-word',
    file: 'libs/contracts/src/near.ts',
    before: 'export function suggestionFor(',
    code: '/** Reports whether a word is too long to look for a similar one. */\nexport const isTooLong = (word: string): boolean => word.length > wordCharactersMax;',
    uses: 'isTooLong',
    assertion: "assert.deepEqual(['short', 'x'.repeat(41)].map(isTooLong), [false, true])",
  }),
  added({
    name: 'same-word',
    file: 'libs/contracts/src/near.ts',
    before: 'function editDistance(',
    code: '/** Reports whether no letter differs. */\nexport const isSame = (left: string, right: string): boolean => editDistance(left, right) === 0;',
    uses: 'isSame',
    assertion: "assert.deepEqual([isSame('abc', 'abc'), isSame('abc', 'abd')], [true, false])",
  }),
];

/** Two different changes of the same line. */
const rivals = ['played', 'recited'].map((word): Change => ({
  name: `provider-${word}`,
  file: 'apps/cli/src/run-file/addresses.ts',
  oldText: "const scriptedProvider = 'scripted/';",
  newText: `const scriptedProvider = '${word}/';`,
  uses: 'resolveModel',
  assertion: `assert.equal(resolveModel('${word}/plan.yaml', '/folder'), '${word}//folder/plan.yaml')`,
}));

export const manyChanges = { apart, sideBySide, rivals };

export const checkOf = ({ name }: Pick<Change, 'name'>): string => `checks/${name}.test.ts`;

export const checkText = ({ name, file, uses, assertion }: Change): string =>
  [
    "import assert from 'node:assert/strict';",
    "import { test } from 'node:test';",
    `import { ${uses} } from '../${file}';`,
    '',
    `test('${name}', () => ${assertion});`,
    '',
  ].join('\n');

/** A check that passes before and after all changes. */
export const baseCheck = {
  path: 'checks/base.test.ts',
  text: `import assert from 'node:assert/strict';
import { test } from 'node:test';
import { agoText, clockText, durationText } from '../apps/cli/src/output/text.ts';
import { resolveRepository } from '../apps/cli/src/run-file/addresses.ts';
import { translationOf } from '../apps/container-service/src/engine/docker-paths.ts';
import { seccompFilter } from '../apps/container-service/src/engine/seccomp.ts';
import { boundOutput } from '../apps/container-service/src/tools/bound.ts';
import { jsonOf } from '../apps/llm-gateway/src/transport/json.ts';
import { parseIgnoreFile } from '../apps/worktree-service/src/import/ignore-rules.ts';
import { isGitName, symlinkProblem } from '../apps/worktree-service/src/import/path-rules.ts';
import { suggestionFor } from '../libs/contracts/src/near.ts';
import { invalidUtf8At } from '../libs/contracts/src/utf8.ts';

test('texts for a terminal', () => {
  assert.deepEqual([clockText(3_723_000), agoText(7_200_000), durationText(1_234)], ['1:02:03', '2 h ago', '1.2 s']);
  assert.equal(invalidUtf8At(Uint8Array.of(65, 0xff)), 1);
  assert.equal(suggestionFor('verfy', ['model', 'verify']), 'verify');
});
test('what comes in is bounded and read as it is meant', async () => {
  assert.match(boundOutput({ text: 'x'.repeat(100), totalBytes: 100, truncated: false }, 20).text, /80 bytes left out/);
  assert.equal(jsonOf('{'), undefined);
  assert.equal(await resolveRepository('https://host/path', '/', { elsewhere: false }), 'https://host/path');
});
test('what an agent must not get by', () => {
  assert.deepEqual(['.git', 'GIT~1', 'git'].map(isGitName), [true, true, false]);
  assert.match(symlinkProblem('a/b', '../../c') ?? '', /outside/);
  assert.equal(parseIgnoreFile('', '# no\\n*.log\\n!keep.log\\n').rules.length, 2);
  assert.equal(seccompFilter('x64').length % 8, 0);
  assert.equal(translationOf([{ Source: '/host', Destination: '/in' }])('/in/a'), '/host/a');
});
`,
};

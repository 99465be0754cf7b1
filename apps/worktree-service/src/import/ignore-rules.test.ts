import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { temporaryFolder } from '@coppice/testing';
import { expect, test } from 'vitest';
import { shell } from '../test-support/fixture.ts';
import { StepBudget } from '@coppice/service';
import { isIgnored, matchGlob, parseIgnoreFile, type IgnoreRules } from './ignore-rules.ts';

/** Lists untracked files that aren't ignored, like the import. */
async function ours(tree: string, folder = '', above: readonly IgnoreRules[] = []): Promise<string[]> {
  const entries = readdirSync(join(tree, folder), { withFileTypes: true });
  const files = [...above];
  const contents = ignoreFiles.get(folder === '' ? '.gitignore' : `${folder}/.gitignore`);
  if (contents !== undefined) files.push(parseIgnoreFile(folder, Buffer.from(contents).toString('latin1')));
  const found: string[] = [];
  for (const entry of entries) {
    const path = folder === '' ? entry.name : `${folder}/${entry.name}`;
    const bytes = Buffer.from(path).toString('latin1');
    if (path === '.git' || (await isIgnored(files, bytes, entry.isDirectory(), new StepBudget()))) continue;
    if (entry.isDirectory()) found.push(...(await ours(tree, path, files)));
    else found.push(path);
  }
  return found;
}

const ignoreFiles = new Map<string, string>();

/** Lists the same files with git. */
async function gits(tree: string): Promise<string[]> {
  const listed = await shell('git ls-files -z --others --exclude-standard', tree);
  return listed.split('\0').filter((path) => path !== '');
}

async function expectSame(files: string[], ignores: Record<string, string>): Promise<void> {
  await using folder = await temporaryFolder('ignore');
  await shell('git init -q .', folder.path);
  ignoreFiles.clear();
  for (const [path, content] of [...files.map((file) => [file, ''] as const), ...Object.entries(ignores)]) {
    mkdirSync(dirname(join(folder.path, path)), { recursive: true });
    writeFileSync(join(folder.path, path), content);
    if (path.endsWith('.gitignore')) ignoreFiles.set(path, content);
  }
  expect((await ours(folder.path)).toSorted()).toEqual((await gits(folder.path)).toSorted());
}

const files = [
  'a.log',
  'b.txt',
  'keep.log',
  'build/out.js',
  'build/keep/me.txt',
  'src/build/x.js',
  'src/a.log',
  'src/deep/er/a.log',
  'node_modules/x/index.js',
  'src/node_modules/y.js',
  'docs/a/b/c.md',
  'docs/c.md',
  '#hash',
  '!bang',
  'sp ace',
  'trail ',
  'a[b]c',
  'x\\y',
  'foo/bar/baz',
  'foo/baz',
  'foo/bar2/q/baz',
  'ä.txt',
  '.env',
  '.hidden/x',
  'A.LOG',
  'tmp',
  'src/tmp/file',
  'file1',
  'file2',
  'fileA',
  'file-',
];

test.each<[string, Record<string, string>]>([
  ['plain names and stars', { '.gitignore': '*.log\n!keep.log\nnode_modules\n.env\n' }],
  ['anchors', { '.gitignore': '/build\n/src/build/\ndocs/c.md\n/tmp\n' }],
  ['folders only', { '.gitignore': 'build/\ntmp/\nb.txt/\n' }],
  ['re-inclusion below an excluded folder fails', { '.gitignore': 'build/\n!build/keep/me.txt\n' }],
  ['re-inclusion of what a star excluded', { '.gitignore': '/build/*\n!/build/keep\n' }],
  [
    'nested files',
    { '.gitignore': '*.log\nbuild\n', 'src/.gitignore': '!a.log\n!build\n', 'src/deep/.gitignore': 'er/*\n' },
  ],
  ['double stars', { '.gitignore': '**/baz\ndocs/**/c.md\nsrc/**\n!src/build\n' }],
  ['double stars in the middle', { '.gitignore': 'foo/**/baz\n**/node_modules/**\na**.log\n' }],
  ['comments, blanks and escapes', { '.gitignore': '# no\n\n\\#hash\n\\!bang\nsp ace\ntrail\\ \nb.txt   \nx\\\\y\n' }],
  ['classes', { '.gitignore': 'file[0-9]\nfile[!0-9a-z]\na\\[b\\]c\n[[:upper:]].LOG\n' }],
  ['odd classes', { '.gitignore': 'file[]-]\nfile[^1]\nfile[1\n[a-c].txt\nfile[z-a]\n' }],
  ['Windows line ends and a byte order mark', { '.gitignore': '\ufeff*.log\r\ntmp\r\n' }],
  ['everything', { '.gitignore': '*\n!*/\n!*.md\n' }],
  ['slashes alone', { '.gitignore': '/\n//\n/*\n!/src\n' }],
  ['trailing double star', { '.gitignore': 'docs/**\nfoo/bar/**\n' }],
  ['other than ASCII', { '.gitignore': 'ä.txt\n?.log\n' }],
])('git agrees on %s', async (_name, ignores) => {
  await expectSame(files, ignores);
});

test('git agrees on random patterns', { timeout: 60_000 }, async () => {
  const part = fc.constantFrom('a', 'b', 'ab', '*', '**', '?', 'a*', '*b', '[ab]', '[!a]', '\\a', 'a?b');
  const line = fc
    .tuple(
      fc.constantFrom('', '!', ''),
      fc.constantFrom('', '/', ''),
      fc.array(part, { minLength: 1, maxLength: 3 }),
      fc.constantFrom('', '/', ''),
    )
    .map(([negation, start, parts, end]) => negation + start + parts.join('/') + end);
  const content = fc.array(line, { minLength: 1, maxLength: 4 }).map((lines) => `${lines.join('\n')}\n`);
  const names = ['a', 'b', 'ab', 'ba', 'acb'];
  const tree = names.flatMap((one) =>
    one === 'a' || one === 'b'
      ? names.flatMap((two) => (two === 'b' ? names.map((three) => `${one}/${two}/${three}`) : [`${one}/${two}`]))
      : [one],
  );
  await fc.assert(
    fc.asyncProperty(content, fc.option(content, { nil: undefined }), async (root, below) => {
      await expectSame(tree, { '.gitignore': root, ...(below === undefined ? {} : { 'a/.gitignore': below }) });
    }),
    { numRuns: 120 },
  );
});

test('matching takes at most as many steps as the length of the pattern times that of the name', async () => {
  const budget = new StepBudget();
  expect(matchGlob('*a'.repeat(100) + 'b', 'a'.repeat(250), budget)).toBe(false);
  const rules = parseIgnoreFile('', `${Array.from({ length: 60 }, () => '**/a').join('/')}/b\n`);
  expect(await isIgnored([rules], Array.from({ length: 100 }, () => 'a').join('/'), false, budget)).toBe(false);
  expect(budget.steps).toBeLessThan(201 * 251 + 60 * 3 * 200);
});

/** Runs the README's files and commands as a reader would. */
import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { chmod, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { temporaryFolder, temporaryRepository } from '@coppice/testing';
import { expect, test } from 'vitest';
import { fileNameOf, projectFolder, readmeBlocks } from '../support/readme.ts';
import { startModelServer } from '../support/model-server.ts';
import { sandboxes } from '../support/sandboxes.ts';

const read = (file: string) => readFileSync(path.join(projectFolder, file), 'utf8');
const readme = read('README.md');
const runMsMax = 150_000;

test("the README's first two commands are scripts of the package", () => {
  const first = readme.split('```sh\n')[1]?.split('```')[0] ?? '';
  const names = [...first.matchAll(/^npm (?:run )?(\w+)/gm)].map(([, name]) => name);
  expect(names).toEqual(['demo', 'test']);
  const { scripts } = JSON.parse(readFileSync(path.join(projectFolder, 'package.json'), 'utf8')) as {
    scripts: Record<string, string>;
  };
  for (const name of names) expect(Object.keys(scripts)).toContain(name);
});

/** Returns the command that a reader runs first in the checkout. */
function pathCommand(): string {
  const [first] = readmeBlocks('sh', 'Install');
  expect(first).toBe('export PATH="$PWD:$PATH"\n');
  return first ?? '';
}

/** Returns the option that `coppice run` needs on a machine without sandboxes. */
const engineOption = () => (sandboxes() === 'none' ? ' --engine none' : '');

const brokenProject = {
  'package.json': '{ "type": "module", "scripts": { "test": "node test.js" } }\n',
  'sum.js': 'export const sum = (a, b) => a - b;\n',
  'test.js': "import { sum } from './sum.js';\nif (sum(1, 2) !== 3) process.exit(1);\n",
};

test('one task without a file works as the README describes', { timeout: 180_000 }, async () => {
  const [keyCommand, ...rest] = readmeBlocks('sh', 'One task, without a file');
  expect(keyCommand).toContain('export OPENAI_API_KEY=YOUR-KEY #');
  await using model = await startModelServer(
    { call: 'edit', arguments: { path: 'sum.js', oldText: 'a - b', newText: 'a + b' } },
    { call: 'finish', arguments: { summary: 'It adds now.' } },
  );
  await using repository = await temporaryRepository({ files: brokenProject });
  await using folder = await temporaryFolder('readme');
  await chmod(folder.path, 0o711);
  const commands = rest.join('\n').replace('coppice run --prompt', `coppice run${engineOption()} --prompt`);
  const lines = [
    'set -eu',
    `cd "${projectFolder}"`,
    pathCommand(),
    `cd "${repository.path}"`,
    keyCommand,
    `export OPENAI_BASE_URL=${model.baseUrl}`,
    "trap 'coppice down' EXIT",
    commands,
  ];
  const { exitCode, out, err } = await shell(lines.join('\n'), path.join(folder.path, 'home'));
  expect([exitCode, err.match(/^coppice: .*$/gm)]).toEqual([0, null]);
  expect(out).toMatch(/^✔ a-test-fails-find-out-why-and-fix-the-co +merged/m);
  expect(out).toMatch(/^ +→ edit sum\.js$/m);
  expect(out).toMatch(/^same: 2 turns replayed/m);
  expect(out).toMatch(/^refs\/heads\/coppice\/t\S+ is \w{10}/m);
  expect(await repository.show('sum.js')).toContain('a + b');
  expect(model.requests).toEqual(['Bearer YOUR-KEY', 'Bearer YOUR-KEY']);
});

test('a run of your own works as the README describes', { timeout: 180_000 }, async () => {
  const heading = 'A run of your own';
  const files = readmeBlocks('yaml', heading);
  expect(files.map((text) => text.split('\n')[0])).toEqual(['# plan.yaml', '# script.yaml']);
  await using folder = await temporaryFolder('readme');
  await chmod(folder.path, 0o711);
  for (const text of files) await writeFile(path.join(folder.path, fileNameOf(text)), text);

  const commands = readmeBlocks('sh', heading)
    .join('\n')
    .replace('coppice run plan.yaml', `coppice run plan.yaml${engineOption()}`);
  const lines = [
    'set -eu',
    `cd "${projectFolder}"`,
    pathCommand(),
    `cd "${folder.path}"`,
    "trap 'coppice down' EXIT",
    commands,
  ];
  const { exitCode, out, err } = await shell(lines.join('\n'), path.join(folder.path, 'home'));
  expect([exitCode, err.match(/^coppice: .*$/gm)]).toEqual([0, null]);
  expect(out).toMatch(/^✔ changelog +merged/m);
  expect(out).toMatch(/^\? notes +ready/m);
  expect(out).toContain('+# Version 1');
  expect(out).toMatch(/2 of 2 tasks done/);
  expect(out).toMatch(/^\* .*chore: a test$/m);
  expect(readFileSync(path.join(folder.path, 'my-project/NOTES.md'), 'utf8')).toBe('# Version 1\n\nIt works.\n');
});

test('the README is short', () => {
  expect(readme.split('\n').length).toBeLessThanOrEqual(151);
});

test('the target of every link in a document exists', () => {
  const documents = ['README.md', 'ARCHITECTURE.md', 'docs', 'docs/decisions'].flatMap((place) =>
    place.endsWith('.md')
      ? [place]
      : readdirSync(path.join(projectFolder, place)).flatMap((name) =>
          name.endsWith('.md') ? [`${place}/${name}`] : [],
        ),
  );
  const links = documents.flatMap((document) =>
    [
      ...read(document)
        .replaceAll(/^```.*?^```$/gms, '')
        .matchAll(/\]\(([^)#\s]*)(?:#([^)\s]+))?\)/g),
    ].flatMap(([, target = '', section]) => (/^https?:/.test(target) ? [] : [{ document, target, section }])),
  );
  expect(links.length).toBeGreaterThan(50);
  const broken = links.filter(({ document, target, section }) => {
    const file = target === '' ? document : path.join(path.dirname(document), target);
    if (!existsSync(path.join(projectFolder, file))) return true;
    return section !== undefined && !sectionsOf(read(file)).includes(section);
  });
  expect(broken).toEqual([]);
});

/** Returns the anchors that GitHub gives to a document's headings. */
function sectionsOf(text: string): string[] {
  return [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(/\s/g, '-'),
  );
}

test('the documentation lists exactly the commands of the command line', async () => {
  const { out } = await shell(`"${projectFolder}/coppice" --help`, '/nonexistent');
  const listed = out.split('Runs and tasks:')[1]?.split('ID is')[0] ?? '';
  const commands = [...listed.matchAll(/^ {2}(\w+) /gm)]
    .map(([, name]) => name ?? '')
    .filter((name) => name !== 'help');
  const table = read('docs/command-line.md');
  const documented = [...table.matchAll(/^\| (.*?) \|/gm)].flatMap(([, cell]) =>
    [...(cell ?? '').matchAll(/`(\w+)/g)].map(([, name]) => name),
  );
  expect(new Set(documented)).toEqual(new Set(commands));
  for (const code of ['0', '1', '2', '3', '4', '130']) expect(table).toContain(`${code} `);
});

function shell(script: string, home: string): Promise<{ exitCode: number | null; out: string; err: string }> {
  const { promise, resolve } = Promise.withResolvers<{ exitCode: number | null; out: string; err: string }>();
  const env = { ...process.env, COPPICE_HOME: home, NATS_URL: '', COPPICE_LOG_LEVEL: undefined };
  const child = execFile('sh', ['-c', script], { env, timeout: runMsMax }, (_error, out, err) =>
    resolve({ exitCode: child.exitCode, out, err }),
  );
  return promise;
}

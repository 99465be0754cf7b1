/** Tests in a temporary folder how the files are written, checked and released. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { temporaryFolder } from '@coppice/testing';
import { expect, test } from 'vitest';
import { check, release, write } from './files.ts';

test('a contract is written, released once, and checked', async () => {
  await using folder = await temporaryFolder('contract');
  const file = (name: string) => path.join(folder.path, name);
  const edit = (name: string, from: string, to: string) => {
    const text = readFileSync(file(name), 'utf8');
    expect(text).toContain(from);
    writeFileSync(file(name), text.replace(from, to));
  };

  expect(check(folder.path, '0.1.0')).toContain(
    "libs/contracts/published/asyncapi.yaml isn't current: npm run contract",
  );
  write(folder.path, '0.1.0');
  expect(check(folder.path, '0.1.0')).toEqual(['nothing is released: npm run contract -- release']);
  expect(release(folder.path, '0.1.0')).toEqual([]);
  expect(check(folder.path, '0.1.0')).toEqual([]);
  expect(release(folder.path, '0.1.0')).toEqual([
    '0.1.0 is released: raise the version in libs/contracts/package.json',
  ]);

  edit('asyncapi.yaml', 'title: Coppice', 'title: Copse');
  writeFileSync(file('schemas/run.pause.input.json'), '{}');
  rmSync(file('schemas/log.json'));
  expect(check(folder.path, '0.1.0')).toEqual(
    ['asyncapi.yaml', 'schemas/log.json', 'schemas/run.pause.input.json'].map(
      (name) => `libs/contracts/published/${name} isn't current: npm run contract`,
    ),
  );
  write(folder.path, '0.1.0');
  expect(check(folder.path, '0.1.0')).toEqual([]);

  // Makes the released contract accept longer reasons than the current one.
  edit('released/0.1.0/asyncapi.yaml', 'maxLength: 500', 'maxLength: 600');
  const problem = 'breaks clients of 0.1.0: run.cancel.input.reason: maxLength 600 became 500';
  expect(check(folder.path, '0.1.0')).toEqual([problem]);
  write(folder.path, '0.1.1');
  expect(release(folder.path, '0.1.1')).toEqual([problem]);
  write(folder.path, '0.2.0');
  expect(release(folder.path, '0.2.0')).toEqual([]);
  expect(check(folder.path, '0.2.0')).toEqual([]);

  mkdirSync(file('released/next'));
  expect(() => check(folder.path, '0.2.0')).toThrow('expected a version as major.minor.patch, received "next"');
});

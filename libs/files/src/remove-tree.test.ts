import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { temporaryFolder } from '@coppice/testing';
import { expect, test } from 'vitest';
import { removeTree } from './remove-tree.ts';

test('a tree with paths that exceed the maximum length is removed, and the targets of its symbolic links stay', async () => {
  await using folder = await temporaryFolder('deep');
  const root = path.join(folder.path, 'tree');
  const outside = path.join(folder.path, 'outside');
  mkdirSync(root);
  mkdirSync(outside);
  writeFileSync(path.join(outside, 'kept'), '');
  symlinkSync(outside, path.join(root, 'link'));
  // 40 times 200 characters: twice the maximum length of a path.
  const dig =
    "const fs = require('fs'); const n = '0'.repeat(200); for (let i = 0; i < 40; i++) { fs.mkdirSync(n); process.chdir(n); fs.writeFileSync('file', ''); }";
  execFileSync(process.execPath, ['-e', dig], { cwd: root });
  await removeTree(root);
  expect(existsSync(root)).toBe(false);
  expect(existsSync(path.join(outside, 'kept'))).toBe(true);
});

test('folders that deny access and names that are not valid text are removed', async () => {
  await using folder = await temporaryFolder('odd');
  const root = path.join(folder.path, 'tree');
  mkdirSync(path.join(root, 'locked'), { recursive: true });
  writeFileSync(Buffer.concat([Buffer.from(`${root}/locked/`), Buffer.from([0xff, 0xfe])]), '');
  chmodSync(path.join(root, 'locked'), 0o000);
  await removeTree(root);
  expect(existsSync(root)).toBe(false);
});

test('a deep chain of folders is removed that contains a folder whose name is not valid text and another deep chain', async () => {
  await using folder = await temporaryFolder('chains');
  const root = path.join(folder.path, 'tree');
  mkdirSync(root);
  // Perl, since Node can't enter a folder whose name is not valid text, and shells can't enter such deep folders.
  const chain = 'for (1 .. 40) { mkdir "d" x 200 or die $!; chdir "d" x 200 or die $! }';
  execFileSync('perl', ['-e', `${chain} mkdir "\\xfff" or die $!; chdir "\\xfff" or die $!; ${chain}`], { cwd: root });
  await removeTree(root);
  expect(existsSync(root)).toBe(false);
});

test('a missing tree is no error', async () => {
  await using folder = await temporaryFolder('absent');
  await expect(removeTree(path.join(folder.path, 'none'))).resolves.toBeUndefined();
});

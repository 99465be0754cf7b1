import { mkdir, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { temporaryFolder } from '@coppice/testing';
import type { TemporaryFolder } from '@coppice/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { findScript, readBeside } from './script-files.ts';

let folder: TemporaryFolder;
let scripts: string;
beforeAll(async () => {
  folder = await temporaryFolder('scripts');
  scripts = path.join(folder.path, 'scripts');
  await mkdir(path.join(scripts, 'sub'), { recursive: true });
  await mkdir(path.join(folder.path, 'scripts-too'));
  for (const file of [
    'outside.yaml',
    'secret.txt',
    'scripts-too/near.yaml',
    'scripts/plan.yaml',
    'scripts/sub/other.yaml',
    'scripts/text.txt',
  ]) {
    await writeFile(path.join(folder.path, file), file);
  }
  await symlink('../outside.yaml', path.join(scripts, 'link-out.yaml'));
  await symlink('plan.yaml', path.join(scripts, 'link-in.yaml'));
  await symlink('scripts', path.join(folder.path, 'link-to-folder'));
});
afterAll(() => folder.remove());

const find = (name: string, anywhere = false) => findScript(name, { folders: ['/nowhere', scripts], anywhere });

test.each([
  ['plan.yaml', 'plan.yaml'],
  ['sub/../plan.yaml', 'plan.yaml'],
  ['sub/other.yaml', 'sub/other.yaml'],
  ['link-in.yaml', 'plan.yaml'],
])('%s is found', async (name, file) => {
  expect(await find(name)).toEqual({ path: path.join(scripts, file), root: scripts });
});

test('an absolute path inside a folder is found, also through a linked folder', async () => {
  const file = { path: path.join(scripts, 'plan.yaml'), root: scripts };
  expect(await find(path.join(scripts, 'plan.yaml'))).toEqual(file);
  const linked = path.join(folder.path, 'link-to-folder');
  expect(await findScript(path.join(linked, 'plan.yaml'), { folders: [linked], anywhere: false })).toEqual(file);
});

test.each([
  '../outside.yaml',
  'sub/../../outside.yaml',
  '../scripts-too/near.yaml',
  'link-out.yaml',
  '/etc/passwd',
  '..',
  '.',
])('%s leads out of the folder and is rejected', async (name) => {
  await expect(find(name)).rejects.toMatchObject({ code: 'permission-denied', retryable: false });
});

test('an absolute path outside of the folders is allowed if the gateway is configured so', async () => {
  const outside = path.join(folder.path, 'outside.yaml');
  await expect(find(outside)).rejects.toMatchObject({ code: 'permission-denied' });
  expect(await find(outside, true)).toEqual({ path: outside, root: folder.path });
  await expect(find(`${outside}.not`, true)).rejects.toMatchObject({ code: 'model-not-found' });
  await expect(find('../outside.yaml', true)).rejects.toMatchObject({ code: 'permission-denied' });
});

test.each(['nothing.yaml', 'sub', 'nul\0.yaml', 'a'.repeat(5_000)])(
  'a name that is not a file is not found',
  async (name) => {
    await expect(find(name)).rejects.toMatchObject({
      code: 'model-not-found',
      message: expect.stringContaining('link-in.yaml'),
    });
  },
);

test('the error without folders states what to configure', async () => {
  await expect(findScript('plan.yaml', { folders: [], anywhere: false })).rejects.toThrow('COPPICE_SCRIPTS');
});

test("a text file must be in the script's folder", async () => {
  const script = await find('plan.yaml');
  expect(await readBeside(script, 'text.txt')).toBe('scripts/text.txt');
  await expect(readBeside(script, '../secret.txt')).rejects.toThrow("leads out of the script's folder");
  await expect(readBeside(script, 'none.txt')).rejects.toThrow('no such file');
});

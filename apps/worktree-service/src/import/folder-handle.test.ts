import { closeSync, mkdirSync, readSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from '@coppice/testing';
import { expect, test } from 'vitest';
import { byteString } from '../folders.ts';
import { FolderHandle } from './folder-handle.ts';

/** Creates a folder that a test can replace by a link while it is read. */
async function swapped() {
  const folder = await temporaryFolder('handles');
  const path = (name: string) => join(folder.path, name);
  for (const name of ['tree', 'tree/dir', 'outside']) mkdirSync(path(name));
  writeFileSync(path('tree/dir/file'), 'inside');
  writeFileSync(path('outside/file'), 'outside');
  const root = FolderHandle.open(byteString(path('tree')));
  return {
    root,
    swap: () => {
      renameSync(path('tree/dir'), path('moved'));
      symlinkSync(path('outside'), path('tree/dir'));
    },
    path,
    async [Symbol.asyncDispose]() {
      root.close();
      await folder.remove();
    },
  };
}

function contentOf(folder: FolderHandle, name: string): string {
  const { descriptor } = folder.file(name);
  const buffer = Buffer.alloc(100);
  const bytes = readSync(descriptor, buffer);
  closeSync(descriptor);
  return buffer.toString('utf8', 0, bytes);
}

test('a link that replaces a folder or file is not followed', async () => {
  await using s = await swapped();
  s.swap();
  symlinkSync(s.path('outside/file'), s.path('tree/link'));
  expect(() => s.root.folder('dir')).toThrow(/ENOTDIR|ELOOP/);
  expect(() => s.root.file('link')).toThrow(/ELOOP/);
  expect(() => FolderHandle.open(byteString(s.path('tree/dir')))).toThrow(/ENOTDIR|ELOOP/);
});

test('an open handle stays at the same folder when a link replaces its path', async (context) => {
  if (process.platform !== 'linux') context.skip('needs /proc');
  await using s = await swapped();
  const folder = s.root.folder('dir');
  s.swap();
  expect(folder.names()).toEqual(['file']);
  expect(contentOf(folder, 'file')).toBe('inside');
  folder.close();
});
